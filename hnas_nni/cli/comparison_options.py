"""Options of the commands that compare what models make of images, and the work that they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import use_threads
from hnas_nni.cli.inference_options import add_inference_options
from hnas_nni.settings import CROP_SIZE

if TYPE_CHECKING:
    from hnas_nni.data import ImagePair
    from hnas_nni.inference.comparison import Comparison, Crop

_FIRST_IMAGES = 3


def add_comparison_options(parser: argparse._ActionsContainer, *, data_required: bool) -> None:
    """Add ``--data``, ``--images``, ``--crop``, ``--crop-size`` and the options of inference."""
    parser.add_argument(
        "--data",
        required=data_required,
        metavar="DIR",
        help="a folder of HR images or of HR/LR pairs, or 'embedded:photos' for the embedded ones",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="NAME",
        help=f"which images of the set (those of --crop, or the first {_FIRST_IMAGES})",
    )
    parser.add_argument(
        "--crop",
        action="append",
        default=[],
        type=_crop,
        metavar="[NAME=]X,Y,W,H",
        help="the detail in HR pixels, of one image or of all; may be repeated",
    )
    parser.add_argument(
        "--crop-size",
        type=int,
        default=CROP_SIZE,
        metavar="N",
        help=f"side of the detail that is looked for ({CROP_SIZE}, or less where an image is smaller)",
    )
    add_inference_options(parser)


def check_comparison(options: argparse.Namespace) -> None:
    """Check what can be checked without loading torch or an image.

    Raises
    ------
    ValueError
        If the size of a detail is not valid, or an image is given two details.
    """
    if options.crop_size < 1:
        raise ValueError(f"--crop-size: {options.crop_size} is not valid; give at least 1")
    _crops(options)


def refuse_comparison_options(options: argparse.Namespace) -> None:
    """Refuse options of a comparison where none is asked for.

    Raises
    ------
    ValueError
        If one of them is not at its default; the message names it.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_comparison_options(parser, data_required=False)
    for action in parser._actions:
        if getattr(options, action.dest) != action.default:
            raise ValueError(f"{action.option_strings[0]}: is of a comparison; give the models too, by --compare")


def compare_models(options: argparse.Namespace) -> list[Comparison]:
    """Enlarge the chosen images by every model of ``options.models``, and cut out the details.

    Raises
    ------
    ValueError
        If models, images and details do not fit together.
    OSError
        If a file can't be read.
    """
    from tqdm import tqdm

    from hnas_nni.data import load_pairs
    from hnas_nni.inference import enlarge, read_models
    from hnas_nni.inference.comparison import compare
    from hnas_nni.network.devices import choose_device

    crops = _crops(options)
    use_threads(options.threads)
    device = choose_device(options.device)
    models = read_models(options.models, options.scale, device, ensemble=options.self_ensemble)
    pairs = _chosen(load_pairs(options.data, models[0].scale), options, [name for name in crops if name is not None])
    for pair in pairs:
        _check_crop_size(options.crop_size, pair)
    comparisons = []
    with tqdm(total=len(models) * len(pairs), unit="image", disable=True if options.quiet else None) as bar:
        for pair in pairs:
            results = {}
            for model in models:
                bar.set_description(f"{model.name} on {pair.name}")
                results[model.name] = enlarge(pair.lr, model, options.tile)
                bar.update()
            crop = crops.get(pair.name, crops.get(None))
            comparisons.append(compare(pair, results, crop=crop, crop_size=options.crop_size))
    return comparisons


def _check_crop_size(size: int, pair: ImagePair) -> None:
    height, width = pair.hr.shape[:2]
    if size > min(height, width) and size != CROP_SIZE:
        raise ValueError(
            f"--crop-size: {size} is more than {pair.name} has, which is {width}x{height} pixels; "
            f"give at most {min(height, width)}"
        )


def _crops(options: argparse.Namespace) -> dict[str | None, Crop]:
    crops: dict[str | None, Crop] = {}
    for name, crop in options.crop:
        if name in crops:
            raise ValueError(f"--crop: given twice for {name or 'all images'}")
        crops[name] = crop
    return crops


def _chosen(pairs: list[ImagePair], options: argparse.Namespace, cropped: list[str]) -> list[ImagePair]:
    by_name = {pair.name: pair for pair in pairs}
    names = options.images or cropped or list(by_name)[:_FIRST_IMAGES]
    for name in [*names, *cropped]:
        if name not in by_name:
            raise ValueError(f"{name}: no such image in {options.data}; it has {', '.join(by_name)}")
        if name not in names:
            raise ValueError(f"--crop: {name} is not one of --images")
    return [by_name[name] for name in dict.fromkeys(names)]


def _crop(text: str) -> tuple[str | None, Crop]:
    from hnas_nni.inference.comparison import Crop

    name, equals, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give X,Y,WIDTH,HEIGHT or NAME=X,Y,WIDTH,HEIGHT")
    return (name if equals else None), Crop(*map(int, parts))
