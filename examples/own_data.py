"""From a folder of images of one's own to an upscaled picture: search, training and use.

    python examples/own_data.py --data DIR --out mine
    python examples/own_data.py --out mine

Any images that Pillow reads will do, some dozen for a try and some hundred for work; what is too small is named
and left out. Without --data the photographs that come along are cut into a folder of pieces first, to demonstrate.
With these small numbers bicubic interpolation still wins; for a network to use, raise --epochs and --training-epochs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from strategies.search.command import quiet_imports

SCALE = 2
PATCH = 48
"""Side of the patches that networks are trained on, in pixels of the high-resolution image."""


def make_demonstration(folder: Path) -> tuple[Path, Path]:
    """Cut the photographs that come along into pieces, in a folder to learn from and one to test on."""
    from PIL import Image

    from hnas_nni.data import load_splits

    splits = load_splits("embedded:photos", SCALE)
    folders = folder / "images", folder / "others"
    side = 128
    for target, pairs in zip(folders, ([*splits.weight, *splits.controller], splits.validation), strict=True):
        target.mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            height, width, _ = pair.hr.shape
            for number, left in enumerate(range(0, min(width, 4 * side) - side + 1, side)):
                piece = pair.hr[height // 2 - side // 2 :, left:][:side, :side]
                Image.fromarray(piece).save(target / f"{pair.name}_{number}.png")
    return folders


def main() -> None:
    """Do all of it, step by step."""
    options = _options()
    if (options.data is None) != (options.validation is None):
        raise ValueError("--data, --validation: give both, folders of different images")
    data, validation = options.data, options.validation
    if data is None:
        data, validation = make_demonstration(options.out)

    from hnas_nni.data import load_splits

    # 1. The images. Low-resolution ones are made from them by the papers' bicubic rule. Some train the weights, some
    #    reward the controller, others choose among architectures and tell at the end how good the network is.
    splits = load_splits(str(data), SCALE, validation=str(validation), patch_size=PATCH)
    names = ("weights", "controller", "validation")
    print("images: " + ", ".join(f"{len(pairs)} {name}" for name, pairs in zip(names, splits, strict=True)))

    quiet_imports()  # NNI and torch take seconds, so they come after the images; hides their warnings of each other
    from PIL import Image

    from hnas_nni import load, upscale
    from hnas_nni.inference import Bicubic, NetworkModel
    from hnas_nni.inference.evaluation import evaluate
    from hnas_nni.training import TrainingSettings, train
    from strategies.search import SearchSettings, WeightSharingSearch

    # 2. The search. The folder holds all of it: killed and started again, it goes on; `hnas report` draws it.
    settings = SearchSettings.miniature(
        data=(str(data),),
        validation=str(validation),
        scale=SCALE,
        patch=PATCH,
        layers=options.layers,
        reward_lambda=options.reward_lambda,
        cost_scale=0.05,
        epochs=options.epochs,
        weight_steps=options.steps,
        controller_steps=options.steps // 2,
        candidates=10,
        threads=options.threads,
    )
    ranking = WeightSharingSearch(settings, options.out / "search").run()
    winner = ranking[0].genotype
    print(f"search: best of {len(ranking)} has {ranking[0].psnr:.2f} dB with shared weights; {winner}")

    # 3. The training, from scratch and with more channels than in the search. More steps give a better network.
    training = train(
        winner,
        TrainingSettings(
            data=(str(data),),
            scale=SCALE,
            channels=options.channels,
            layers=options.layers,
            epochs=options.training_epochs,
            steps_per_epoch=options.training_steps,
            batch=8,
            patch=PATCH,
        ),
        options.out / "training",
        accelerator="cpu",
        quiet=True,
    )
    print(f"training: weights in {training.weights}")

    # 4. The use: plain torch in, images out. Those that no weight has learnt from tell how good it is.
    network = load(training.weights)
    for model in (NetworkModel(network), Bicubic(SCALE)):
        score = evaluate(model, splits.validation)
        print(f"{len(splits.validation)} other images, {model.name}: {score.psnr:.2f} dB, SSIM {score.ssim:.4f}")
    pair = splits.validation[0]
    for name, image in (("lr", pair.lr), ("network", upscale(pair.lr, network)), ("hr", pair.hr)):
        Image.fromarray(image).save(options.out / f"{pair.name}_{name}.png")
    print(f"written: {options.out / f'{pair.name}_network.png'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of images (pieces of photographs)")
    parser.add_argument("--validation", type=Path, metavar="DIR", help="folder of others, to choose and measure on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for all that is made")
    for name, default, text in (
        ("epochs", 10, "of the search: turns of weights and controller"),
        ("training-epochs", 8, "of the training"),
        ("training-steps", 200, "steps in each of them"),
        ("steps", 20, "steps in an epoch; the controller does half as many"),
        ("layers", 6, "L, blocks of a network"),
        ("channels", 16, "C of the trained network"),
        ("threads", 1, "CPU threads"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    parser.add_argument(
        "--lambda", dest="reward_lambda", type=float, default=0.9, metavar="X", help="weight of PSNR (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # bad input: a line, no traceback
        sys.exit(f"own_data.py: error: {error}")
