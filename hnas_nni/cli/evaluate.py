"""Measure models on test sets: PSNR and SSIM on Y, multiply-adds, parameters and time.

PSNR and SSIM are those of the papers: on Y of the images rounded to 8 bits, without a border as wide as the scale.
Multiply-adds are for a 3x480x480 input, seconds for 10^6 pixels of HR output.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, check_output, check_output_folder, use_threads
from hnas_nni.cli.inference_options import MODELS_HELP, add_inference_options
from hnas_nni.cli.terminal import table

if TYPE_CHECKING:
    from hnas_nni.data import ImagePair
    from hnas_nni.data.resize import ImageArray
    from hnas_nni.inference import Model
    from hnas_nni.inference.evaluation import SetScore

HELP = "measure models on test sets: PSNR, SSIM, cost and time"
_STANDARD_OUTPUT = Path("-")
_EXAMPLES = """\
examples:
  hnas evaluate model.safetensors --data Set5 Set14
  hnas evaluate bicubic model.safetensors --data Set5 --per-image
  hnas evaluate bicubic --scale 3 --data embedded:photos --json
  hnas evaluate model.safetensors --data Set5 Set14 --published --markdown results.md
  hnas evaluate model.safetensors --data Set5 --self-ensemble --save-images sr
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas evaluate``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODELS_HELP)
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="DIR",
        help="test sets: folders of HR images or of HR/LR pairs, or 'embedded:photos' for the embedded ones",
    )
    add_inference_options(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each set")
    parser.add_argument("--per-image", action="store_true", help="also print every image")
    parser.add_argument("--published", action="store_true", help="put published results of other methods beside (x2)")
    parser.add_argument("--save-images", type=Path, metavar="DIR", help="write SR images to DIR/set/model/image.png")
    for name, what in (("csv", "every image as CSV"), ("markdown", "the table")):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write {what} to FILE, or - to print it")
    add_force(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Evaluate every model on every set, and print and write what is asked for."""
    printed = _check_outputs(options)
    from tqdm import tqdm

    from hnas_nni.data import load_pairs
    from hnas_nni.inference import read_models
    from hnas_nni.inference.evaluation import dataset_name, evaluate
    from hnas_nni.network.devices import choose_device
    from hnas_nni.report.published_results import SOURCE
    from hnas_nni.report.scores import (
        image_table,
        markdown_table,
        published_data,
        scores_csv,
        scores_data,
        summary_table,
    )

    use_threads(options.threads)
    device = choose_device(options.device)
    models = read_models(options.models, options.scale, device, ensemble=options.self_ensemble)
    scale = models[0].scale
    names = [dataset_name(source) for source in options.data]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--data: two sets are called {name}; give folders of different names")
    if options.published:
        published_data(scale, names)  # refuses what is not published, before the work
    sets = {
        name: load_pairs(source, scale, limit=options.limit, strict=True)
        for name, source in zip(names, options.data, strict=True)
    }
    if options.save_images is not None:
        _check_images(options, models, sets)
    scores: list[SetScore] = []
    total = len(models) * sum(map(len, sets.values()))
    with tqdm(total=total, unit="image", disable=True if options.quiet else None) as bar:
        for model in models:
            for name, pairs in sets.items():
                bar.set_description(f"{model.name} on {name}")

                def done(pair: ImagePair, sr: ImageArray, folder: tuple[str, str] = (name, model.name)) -> None:
                    if options.save_images is not None:
                        _write_image(_image_path(options.save_images, *folder, pair.name), sr)
                    bar.update()

                scores.append(evaluate(model, pairs, name, tile=options.tile, on_image=done))

    header, rows = summary_table(models, scores, options.published)
    if options.csv is not None:
        _write(options.csv, scores_csv(scores))
    if options.json:
        data = scores_data(models, scores)
        if options.published:
            data["published"] = {"source": SOURCE, "results": published_data(scale, names)}
        print(json.dumps(data, indent=2, allow_nan=False))
    if options.markdown is not None:
        source = f"\nPublished: {SOURCE}.\n" if options.published else ""
        _write(options.markdown, markdown_table(header, rows) + source)
    if printed:
        return
    if options.per_image:
        for name in names:
            print(table(*image_table(models, [score for score in scores if score.dataset == name])) + "\n")
    print(table(header, rows))
    if not options.quiet:
        print("\n" + "\n".join(_notes(options, models, scores)))


def _notes(options: argparse.Namespace, models: Sequence[Model], scores: Sequence[SetScore]) -> list[str]:
    """What the figures are, and what to know of them."""
    from hnas_nni.report.published_results import SOURCE

    device = next((model.device for model in models if model.cost is not None), models[0].device)
    notes = [
        f"x{models[0].scale}; PSNR (dB) / SSIM on Y; multiply-adds at a 3x480x480 input; "
        f"seconds for 10^6 HR pixels on {device}"
    ]
    if options.self_ensemble:
        notes.append("networks: mean over eight flips and turns; multiply-adds are those of one")
    for model in models:
        tiled = sum(image.tiled for score in scores if score.model == model.name for image in score.images)
        if tiled and not model.is_local:
            notes.append(
                f"{model.name}: {tiled} images were computed in tiles, over each of which its channel attention "
                "averages; --tile off computes them whole"
            )
    if options.published:
        notes.append(f"published: {SOURCE}")
    if options.save_images is not None:
        notes.append(f"images written to {options.save_images}")
    return notes


def _check_outputs(options: argparse.Namespace) -> bool:
    """Check what is to be written; return whether one of it goes to standard output."""
    paths = [path for path in (options.csv, options.markdown) if path is not None]
    if paths.count(_STANDARD_OUTPUT) + options.json > 1:
        raise ValueError("only one of --csv, --json and --markdown can be printed; give files for the others")
    for path in paths:
        if path != _STANDARD_OUTPUT:
            check_output(path, options.force)
        if path != _STANDARD_OUTPUT and paths.count(path) > 1:
            raise ValueError(f"{path}: given for two outputs; give different files")
    if options.save_images is not None:
        check_output_folder(options.save_images)
    return options.json or _STANDARD_OUTPUT in paths


def _image_path(folder: Path, dataset: str, model: str, image: str) -> Path:
    # A model that is called by its path, or an image that kept its ending, still gives one file; of the embedded set's
    # name not every file system takes the colon.
    return folder / dataset.replace(":", "_") / model.strip("./").replace("/", "_") / f"{image}.png"


def _check_images(options: argparse.Namespace, models: Sequence[Model], sets: dict[str, list[ImagePair]]) -> None:
    if options.force:
        return
    for model in models:
        for name, pairs in sets.items():
            for pair in pairs:
                path = _image_path(options.save_images, name, model.name, pair.name)
                if path.exists():
                    raise FileExistsError(f"{path}: exists already; give another folder, or --force to replace it")


def _write_image(path: Path, sr: ImageArray) -> None:
    from PIL import Image

    from hnas_nni.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(sr).save(temporary, "PNG")


def _write(path: Path, text: str) -> None:
    from hnas_nni.files import write_text

    if path == _STANDARD_OUTPUT:
        print(text, end="")
        return
    write_text(path, text)
