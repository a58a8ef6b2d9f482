"""Show the best architectures of a search: one that NNI ran or is running, or a run of hnas search.

Reads the search's folder, so neither the web UI nor NNI needs to run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, add_working_dir, check_output
from hnas_nni.cli.ranking import ranking_table
from hnas_nni.cli.terminal import strong

HELP = "show the best architectures of a search, and write out the winner"
_EXAMPLES = """\
examples:
  hnas best                                  the latest search of NNI on this machine
  hnas best AbC12xyz --top 3                 one by its id
  hnas best runs/first                       a run folder of hnas search
  hnas best --working-dir ./experiments      the latest search in a working directory
  hnas best --out best.json --weights best.safetensors
  hnas best AbC12xyz --lambda 0.2            of a family of searches, those for one lambda
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas best``."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="an experiment's id or folder, or the run folder of hnas search (the latest experiment)",
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many to show (%(default)s)")
    parser.add_argument(
        "--lambda",
        dest="reward_lambda",
        type=float,
        metavar="X",
        help="only trials whose reward had this weight of PSNR (all)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the winner's genotype as JSON")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="write the winner's weights from the search (.safetensors)",
    )
    add_force(parser)
    add_working_dir(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Print the ranking, and write the winner's files if that is asked for."""
    if options.top < 1:
        raise ValueError(f"--top: {options.top} is not valid; give at least 1")
    for path in (options.out, options.weights):
        if path is not None:
            check_output(path, options.force)
    from hnas_nni.searches import open_search

    search = open_search(options.run, options.working_dir)
    ranking = search.ranking(options.reward_lambda)
    weights = search.reward_weights
    model = None if options.weights is None else search.model_file(ranking[0])
    written = []
    if options.out is not None:
        ranking[0].genotype.to_json(options.out)
        written.append(f"genotype of the winner written to {options.out}")
    shown = ranking[: options.top]
    if not options.json:
        if not options.quiet:
            print(f"{strong(f'{search.title} in {search.path}')}\n")
        print(ranking_table(shown, with_lambda=len(weights) > 1))
        if len(ranking) > options.top:
            print(f"and {len(ranking) - options.top} more; --top {len(ranking)} shows all")
        if len(weights) > 1 and options.reward_lambda is None:
            print(f"\n{_family_note(weights)}")
        sys.stdout.flush()
    if model is not None:
        from hnas_nni.network.model_file import load, save  # torch takes seconds to load

        save(load(model), options.weights)
        written.append(f"weights of the winner written to {options.weights}")
    if options.json:
        print(json.dumps({**search.to_dict(), "best": [entry.to_dict() for entry in shown]}, indent=2))
    elif not options.quiet:
        for line in written:
            print(f"\n{line}")


def _family_note(weights: Sequence[float]) -> str:
    named = ", ".join(f"{weight:g}" for weight in weights)
    return f"rewards of different lambda ({named}) can't be compared; --lambda {weights[0]:g} shows those of one"
