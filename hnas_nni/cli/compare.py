"""Draw what models make of images: details side by side, with PSNR and SSIM below, as papers show them.

Without --crop it is the detail in which the models differ the most. Bicubic interpolation always stands beside.
hnas report puts the same into the report of a search.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, check_output
from hnas_nni.cli.comparison_options import add_comparison_options, check_comparison, compare_models
from hnas_nni.cli.inference_options import MODELS_HELP

if TYPE_CHECKING:
    from hnas_nni.inference.comparison import Comparison

HELP = "draw what models make of images, side by side"
_EXAMPLES = """\
examples:
  hnas compare a.safetensors b.safetensors --data Set5 --out comparison.png
  hnas compare plain=runs/a/best.safetensors long=runs/b/best.safetensors --data Set5 --out comparison.png
  hnas compare a.safetensors --data Set14 --images img_003 img_013 --crop-size 48 --out comparison.png
  hnas compare a.safetensors --data embedded:photos --images chelsea --crop 130,90,64,48 --out cat.png
  hnas compare a.safetensors --data Set5 --crop img_001=40,60,64,64 --crop img_002=200,10,64,64 --out two.png
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas compare``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("models", nargs="+", metavar="MODEL", help=MODELS_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write (.png)")
    add_comparison_options(parser, data_required=True)
    add_force(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Upscale the images by every model, and draw."""
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"{options.out}: can't draw to this kind of file; give a name that ends in .png")
    check_output(options.out, options.force)
    check_comparison(options)
    comparisons = compare_models(options)
    from hnas_nni.files import replacing
    from hnas_nni.report.comparison_picture import draw_comparisons

    with replacing(options.out) as temporary:
        draw_comparisons(comparisons).save(temporary, "PNG", optimize=True)
    if options.json:
        shown = {"file": str(options.out), "images": [_data(comparison) for comparison in comparisons]}
        print(json.dumps(shown, indent=2, allow_nan=False))
    elif not options.quiet:
        print(f"drawn to {options.out}: {', '.join(comparison.name for comparison in comparisons)}")


def _data(comparison: Comparison) -> dict[str, Any]:
    from hnas_nni.report.scores import finite

    scores = {detail.name: detail.score for detail in comparison.details if detail.score is not None}
    return {
        "image": comparison.name,
        "scale": comparison.scale,
        "crop": comparison.crop._asdict(),
        "models": [{"model": name, "psnr": finite(psnr), "ssim": ssim} for name, (psnr, ssim) in scores.items()],
    }
