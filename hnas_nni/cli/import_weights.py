"""Turn weights that the authors of a network released into a model file, which all commands read.

Weights are arrays by the names of the release: .npz, .safetensors, or a state dict of torch (.pt, .pth). For a graph of
TensorFlow's (FALSR) they are .npz, and a .json of the same name with the graph's operations beside it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hnas_nni.architecture.peers import PEERS, peer
from hnas_nni.cli.arguments import add_force, add_json, add_quiet, check_output
from hnas_nni.settings import shared
from hnas_nni.settings.options import add_option

HELP = "turn weights that a network's authors released into a model file"
_EXAMPLES = """\
examples:
  hnas import-weights CARN-M carn_m.npz --out carn_m.safetensors
  hnas import-weights CARN-M carn_m.pth --scale 4 --out carn_m_x4.safetensors
  hnas import-weights FALSR-A falsr_a.npz --out falsr_a.safetensors
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas import-weights``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("network", metavar="NETWORK", help=f"whose weights they are: {', '.join(PEERS)}")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="the file: .npz, .safetensors, .pt or .pth")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the model file to write")
    add_option(parser, "scale", shared.SCALE, 2)
    for name, setting in (("channels", shared.CHANNELS), ("layers", shared.LAYERS)):
        add_option(parser, name, setting, None, "the paper's")
    add_force(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Read the weights, and write the model file."""
    network = peer(options.network)
    check_output(options.out, options.force)
    from hnas_nni.network.model_file import save
    from hnas_nni.peers.released_weights import read_released

    built = read_released(network, options.weights, options.scale, options.channels, options.layers)
    save(built, options.out)
    params = sum(parameter.numel() for parameter in built.parameters())
    if options.json:
        print(json.dumps({"file": str(options.out), "network": network.name, "scale": built.scale, "params": params}))
    elif not options.quiet:
        print(f"{options.out}: {network.name} x{built.scale}, {params:,} parameters")
