"""Show an architecture: its cells, its network and what it costs; draw it with --out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hnas_nni.cli.arguments import (
    GENOTYPE_HELP,
    add_force,
    add_json,
    add_network_size,
    add_quiet,
    architecture_in_network,
    check_output,
    network_sizes,
)
from hnas_nni.cli.terminal import strong
from hnas_nni.report import describe, picture_format
from hnas_nni.searches.names import read_architecture

HELP = "show an architecture and its cost, or draw it"
_EXAMPLES = """\
examples:
  hnas show HNAS-A                       cells as text, multiply-adds and parameters
  hnas show genotype.json --out it.svg   the same, and a picture (.svg, .png or .pdf)
  hnas show winner.safetensors --out it.pdf      a trained model, at its own size
  hnas show AbC12xyz:17 --out it.png     trial 17 of an experiment; also AbC12xyz:best, and :best of the latest
  hnas show runs/first:best              the winner of a run folder of hnas search; runs/first:3 is the third
  hnas show CARN                         a network of the literature, and what it costs
  hnas show HNAS-B --scale 3 --channels 32 --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas show``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("genotype", metavar="GENOTYPE", help=GENOTYPE_HELP)
    parser.add_argument("--out", type=Path, metavar="FILE", help="draw it to FILE: .svg, .png or .pdf")
    add_force(parser)
    add_network_size(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Print an architecture, and draw it if that is asked for."""
    named = read_architecture(options.genotype)
    sizes = network_sizes(options, named)
    architecture = architecture_in_network(named, sizes["layers"], options.quiet)
    if options.out is not None:
        check_output(options.out, options.force)
        picture_format(options.out)
    if not options.json:  # before torch is loaded, which takes seconds
        print(describe(architecture, sizes["layers"], strong=strong) + "\n", flush=True)
    from hnas_nni.cost import DEFAULT_LR_SIZE

    cost = architecture.cost(**sizes)
    if options.out is not None:
        from hnas_nni.report import draw_genotype

        draw_genotype(architecture, options.out, layers=sizes["layers"])
    height, width = DEFAULT_LR_SIZE
    if options.json:
        figures = {
            "multiply_adds": cost.macs,
            "convolution_multiply_adds": cost.conv_macs,
            "transposed_convolution_multiply_adds": cost.deconv_macs,
            "parameters": cost.params,
            "input_size": [3, height, width],
        }
        print(json.dumps({architecture.kind: architecture.to_dict(), **sizes, **figures}, indent=2))
        return
    of = "x{scale}, C = {channels}, L = {layers}".format(**sizes)
    print(strong(f"cost ({of}, input 3x{height}x{width})"))
    print(
        f"  multiply-adds  {cost.gmacs:.1f} G "
        f"(convolutions {cost.conv_macs / 1e9:.1f} G, transposed convolutions {cost.deconv_macs / 1e9:.1f} G)"
    )
    print(f"  parameters     {cost.params:,}")
    if options.out is not None and not options.quiet:
        print(f"\ndrawn to {options.out}")
