"""Export a trained network to ONNX, TorchScript or torch.export, checked against torch before it is written.

The file takes RGB images in 0..1 of any size, any number at a time: (n, 3, h, w) to (n, 3, scale * h, scale * w).
It carries the genotype, scale, channels and layers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, check_output
from hnas_nni.network.export_formats import FORMATS, format_of

HELP = "export a trained network to ONNX, TorchScript or torch.export"
_EXAMPLES = """\
examples:
  hnas export winner.safetensors --out winner.onnx
  hnas export winner.safetensors --out winner.pt2 --json
  hnas export winner.safetensors --format torchscript --out winner.bin
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas export``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file (.safetensors)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help=f"its format (by its ending: {', '.join(f'{known.suffix} {name}' for name, known in FORMATS.items())})",
    )
    add_force(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Export a model."""
    check_output(options.out, options.force)
    from hnas_nni.network.export import TOLERANCE, export
    from hnas_nni.network.model_file import load

    name = options.format or format_of(options.out)
    network = load(options.model)
    difference = export(network, options.out, name)
    size = options.out.stat().st_size
    if options.json:
        figures = {"file": str(options.out), "format": name, "bytes": size, "max_abs_difference": difference}
        print(json.dumps({**figures, "tolerance": TOLERANCE}, indent=2))
        return
    if options.quiet:
        return
    print(f"{options.out}: {FORMATS[name].title}, {size:,} bytes")
    print(f"largest difference to torch: {difference:.1e} (at most {TOLERANCE:.0e} is accepted)")
