"""Draw what models make of images: details side by side, with PSNR and SSIM below, as papers show them.

Without --crop it is the detail in which the models differ the most. Bicubic interpolation always stands beside.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import add_force, add_quiet, check_output, use_threads
from hnas_nni.cli.inference_options import MODEL_HELP, add_inference_options

if TYPE_CHECKING:
    from hnas_nni.data import ImagePair
    from hnas_nni.report.comparison import Crop

HELP = "draw what models make of images, side by side"
_FIRST_IMAGES = 3
_EXAMPLES = """\
examples:
  hnas compare a.safetensors b.safetensors --data Set5 --out comparison.png
  hnas compare a.safetensors --data Set14 --images img_003 img_013 --crop-size 48 --out comparison.png
  hnas compare a.safetensors --data photos --images chelsea --crop 130,90,64,48 --out cat.png
  hnas compare a.safetensors --data Set5 --crop img_001=40,60,64,64 --crop img_002=200,10,64,64 --out two.png
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas compare``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="a folder of HR images or of HR/LR pairs, or 'photos' for the embedded ones",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write (.png)")
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
        "--crop-size", type=int, default=64, metavar="N", help="side of the detail that is looked for (%(default)s)"
    )
    add_inference_options(parser)
    add_force(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Upscale the images by every model, and draw."""
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"{options.out}: can't draw to this kind of file; give a name that ends in .png")
    check_output(options.out, options.force)
    if options.crop_size < 1:
        raise ValueError(f"--crop-size: {options.crop_size} is not valid; give at least 1")
    crops: dict[str | None, Crop] = {}
    for name, crop in options.crop:
        if name in crops:
            raise ValueError(f"--crop: given twice for {name or 'all images'}")
        crops[name] = crop
    from tqdm import tqdm

    from hnas_nni.data import load_pairs
    from hnas_nni.inference import choose_device, enlarge, read_models
    from hnas_nni.report.comparison import draw_comparison, stack, write_png

    use_threads(options.threads)
    device = choose_device(options.device)
    models = read_models(options.models, options.scale, device, ensemble=options.self_ensemble)
    pairs = _chosen(load_pairs(options.data, models[0].scale), options, [name for name in crops if name is not None])
    pictures = []
    with tqdm(total=len(models) * len(pairs), unit="image", disable=True if options.quiet else None) as bar:
        for pair in pairs:
            results = {}
            for model in models:
                bar.set_description(f"{model.name} on {pair.name}")
                results[model.name] = enlarge(pair.lr, model, options.tile)
                bar.update()
            crop = crops.get(pair.name, crops.get(None))
            pictures.append(draw_comparison(pair, results, crop=crop, crop_size=options.crop_size))
    write_png(stack(pictures), options.out)
    if not options.quiet:
        print(f"drawn to {options.out}: {', '.join(pair.name for pair in pairs)}")


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
    from hnas_nni.report.comparison import Crop

    name, equals, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give X,Y,WIDTH,HEIGHT or NAME=X,Y,WIDTH,HEIGHT")
    return (name if equals else None), Crop(*map(int, parts))
