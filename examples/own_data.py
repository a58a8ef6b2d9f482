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


def make_demonstration(folder: Path) -> None:
    """Cut the photographs that come along into pieces of 128 x 128 pixels, and write these as PNG files."""
    from PIL import Image

    from hnas_nni.data import load_pairs

    folder.mkdir(parents=True, exist_ok=True)
    side = 128
    for pair in load_pairs("photos", SCALE):
        height, width, _ = pair.hr.shape
        for number, left in enumerate(range(0, min(width, 4 * side) - side + 1, side)):
            piece = pair.hr[height // 2 - side // 2 :, left:][:side, :side]
            Image.fromarray(piece).save(folder / f"{pair.name}_{number}.png")


def main() -> None:
    """Do all of it, step by step."""
    options = _options()
    data = options.data
    if data is None:
        data = options.out / "images"
        make_demonstration(data)

    from hnas_nni.data import load_splits

    # 1. The images. Low-resolution ones are made from them by the papers' bicubic rule. Some train the weights, some
    #    reward the controller, a tenth is held out to choose among architectures; nothing is in two of these.
    splits = load_splits(str(data), SCALE, patch_size=PATCH)
    names = ("weights", "controller", "validation")
    print("images: " + ", ".join(f"{len(pairs)} {name}" for name, pairs in zip(names, splits, strict=True)))

    quiet_imports()  # NNI and torch take seconds, so they come after the images; hides their warnings of each other
    from PIL import Image

    from hnas_nni import load, upscale
    from hnas_nni.metrics import psnr_y
    from hnas_nni.retraining import TrainingSettings, train
    from strategies.search import MINIATURE, SearchSettings, WeightSharingSearch

    # 2. The search. The folder holds all of it: killed and started again, it goes on; `hnas report` draws it.
    settings = SearchSettings(
        **{
            **MINIATURE,
            "data": (str(data),),
            "scale": SCALE,
            "patch": PATCH,
            "layers": options.layers,
            "epochs": options.epochs,
            "weight_steps": options.steps,
            "controller_steps": options.steps // 2,
            "candidates": 10,
            "threads": options.threads,
        }
    )
    ranking = WeightSharingSearch(settings, options.out / "search").run()
    winner = ranking[0]["genotype"]
    print(f"search: best of {len(ranking)} has {ranking[0]['psnr']:.2f} dB with shared weights; {winner}")

    # 3. The training, from scratch and with more channels than in the search.
    training = train(
        winner,
        TrainingSettings(
            data=(str(data),),
            scale=SCALE,
            channels=options.channels,
            layers=options.layers,
            epochs=options.training_epochs,
            steps_per_epoch=options.steps,
            batch=8,
            patch=PATCH,
        ),
        options.out / "training",
        accelerator="cpu",
        quiet=True,
    )
    print(f"training: weights in {training.weights}")

    # 4. The use: plain torch in, an image out. Here one that no weight has seen in the search, against bicubic.
    pair = splits.validation[0]
    network = load(training.weights)
    images = {"network": upscale(pair.lr, network), "bicubic": upscale(pair.lr, "bicubic", scale=SCALE)}
    for name, image in images.items():
        Image.fromarray(image).save(options.out / f"{pair.name}_{name}.png")
        print(f"{pair.name}, {name}: {psnr_y(image, pair.hr, SCALE):.2f} dB")
    print(f"written: {options.out / f'{pair.name}_network.png'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of images (pieces of photographs)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for all that is made")
    for name, default, text in (
        ("epochs", 10, "of the search: turns of weights and controller"),
        ("training-epochs", 10, "of the training"),
        ("steps", 20, "steps in an epoch; the controller does half as many"),
        ("layers", 6, "L, blocks of a network"),
        ("channels", 8, "C of the trained network"),
        ("threads", 1, "CPU threads"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # bad input: a line, no traceback
        sys.exit(f"own_data.py: error: {error}")
