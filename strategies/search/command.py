"""Search for a super-resolution network: data in, ranked genotypes and the trained supernet out.

Weights shared by all architectures and the hierarchical controller take turns in learning (HNAS, Algorithm 1); then
architectures are drawn from the controller's policy and ranked on validation images. Stopped at any time, the same
command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import warnings
from contextlib import redirect_stderr
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

from hnas_nni.cli.arguments import add_device, add_json, add_quiet, add_skip_unusable, add_threads
from hnas_nni.cli.ranking import ranking_table
from strategies.search.settings import MINIATURE, NORMALIZATIONS, PRECISIONS, RANKINGS, SearchSettings

HELP = "search with shared weights (the paper's Algorithm 1)"

_METAVARS = {"scale": "S"}
_CONTROLLERS = ("hierarchical", "unconditioned", "random")
_SHOWN = 5
_EXAMPLES = """\
examples:
  hnas search --miniature --out runs/first                 a first search in minutes on a CPU, on embedded photographs
  hnas search --data DIV2K/DIV2K_train_HR --validation Set5 --lambda 0.6 --out runs/b
                                                           the paper's scale, for a GPU
  hnas search --miniature --data photos/ --layers 8 --out runs/mine
                                                           one's own images, one setting changed
  hnas report runs/mine                                    look at it, also while it runs
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas search``."""
    parser.epilog = _EXAMPLES
    default = SearchSettings()

    def add(group: Any, name: str, text: str, **more: Any) -> None:
        value = getattr(default, name.replace("-", "_"))
        shown = f"{value}" if name.replace("-", "_") not in MINIATURE else f"{value}; {_miniature(name)} in miniature"
        if "choices" not in more:
            more["metavar"] = _METAVARS.get(name, {int: "N", float: "X"}[type(value)])
        group.add_argument(f"--{name}", type=type(value), help=f"{text} ({shown})", **more)

    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the search; made if need be")
    parser.add_argument(
        "--miniature", action="store_true", help="defaults for minutes on a CPU in place of the paper's"
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data", nargs="+", metavar="DIR", help='folders of images, or "photos" for those that come along (photos)'
    )
    data.add_argument(
        "--validation", metavar="DIR", help="images that architectures are chosen on (a tenth of the data, held out)"
    )
    add_skip_unusable(data)
    add(data, "limit", "images of each split at most, 0 for all")
    add(data, "patch", "side of a patch in HR pixels")

    space = parser.add_argument_group("space and reward")
    add(space, "scale", "upscaling factor: 2, 3 or 4")
    add(space, "channels", "C, channels of an operation")
    add(space, "layers", "L, blocks of the network")
    add(space, "normalization", "of the supernet: mean, none, or batch as in the paper", choices=NORMALIZATIONS)
    space.add_argument(
        "--lambda",
        dest="reward_lambda",
        type=float,
        metavar="X",
        help=f"weight of PSNR against multiply-adds; 0.2, 0.6, 0.9 for the paper's A, B, C ({default.reward_lambda})",
    )
    add(space, "cost-scale", "dB that a billion multiply-adds cost")

    steps = parser.add_argument_group("steps")
    add(steps, "epochs", "turns of weights and controller")
    add(steps, "warmup-epochs", "first epochs without learning of the controller; a third of --epochs in miniature")
    add(steps, "weight-steps", "steps of the weights in an epoch")
    add(steps, "batch", "patches in a step of the weights")
    add(steps, "micro-batch", "of these run at once, in less memory; 0 for what is best on the device")
    add(steps, "learning-rate", "of the weights at the first step; a cosine takes it down")
    add(steps, "last-learning-rate", "of the weights at the last step")
    add(steps, "controller-steps", "steps of the controller in an epoch")
    add(steps, "architectures", "architectures in a step of the controller")
    add(steps, "controller-batch", "patches that each of them is measured on")

    controller = parser.add_argument_group("controller")
    add(controller, "controller", "hierarchical, unconditioned or random", choices=_CONTROLLERS)
    add(controller, "controller-learning-rate", "of Adam")
    add(controller, "entropy-weight", "of the policy's entropy")
    add(controller, "position-weight", "of the position's terms against the cells'")
    add(controller, "baseline-decay", "of the moving average of rewards")
    controller.add_argument(
        "--relative",
        action=argparse.BooleanOptionalAction,
        help="compare rewards within a step too (off; on in miniature)",
    )
    controller.add_argument(
        "--normalize-advantage", action="store_true", default=None, help="divide rewards by their spread (off)"
    )

    result = parser.add_argument_group("result")
    add(result, "validation-architectures", "architectures measured after each epoch")
    add(result, "candidates", "architectures drawn and ranked at the end")
    add(result, "rank-by", "reward, or psnr as in the paper", choices=RANKINGS)
    add_json(result)

    machine = parser.add_argument_group("machine")
    add(machine, "seed", "of everything random")
    add_device(machine)
    add(machine, "precision", "32, or bf16 for automatic mixed precision", choices=PRECISIONS)
    add_threads(machine)
    machine.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        metavar="X",
        help="save the state so often within an epoch (%(default)s)",
    )
    add_quiet(machine)


def settings_of(options: argparse.Namespace) -> SearchSettings:
    """Return the settings that the options ask for."""
    given = {
        field.name: getattr(options, field.name)
        for field in fields(SearchSettings)
        if getattr(options, field.name) is not None
    }
    if "data" in given:
        given["data"] = tuple(given["data"])
    return SearchSettings.miniature(**given) if options.miniature else SearchSettings(**given)


def run(options: argparse.Namespace) -> None:
    """Search, or go on with a search, and print the ranking."""
    settings = settings_of(options).located()
    if not 0 <= options.checkpoint_seconds < math.inf:
        raise ValueError(f"--checkpoint-seconds: {options.checkpoint_seconds} is not valid; give at least 0")
    quiet_imports()
    from strategies.search.engine import WeightSharingSearch

    shown = not options.quiet and sys.stderr.isatty()
    search = WeightSharingSearch(
        settings,
        options.out,
        command=shlex.join(["hnas", *sys.argv[1:]]),
        progress=shown,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    already = search.folder.exists and search.folder.finished
    ranking = search.run()
    if options.json:
        print(json.dumps([entry.to_dict() for entry in ranking], indent=2))
        return
    if already:
        print(f"{options.out}: this search has finished before")
    print(ranking_table(ranking[:_SHOWN]))
    print(f"\n{len(ranking)} architectures ranked in {options.out / 'architectures.csv'}")
    print(f"winner: {options.out / 'winner.json'}")
    print(f"next:   hnas report {options.out}")
    sizes = f"--scale {settings.scale} --layers {settings.layers}"
    images = f" --data {shlex.join(settings.data)}"
    if settings.validation is not None:
        images += f" --validation {shlex.quote(settings.validation)}"
    print(f"        hnas train {options.out / 'winner.json'} {sizes}{images} --out DIR")


def quiet_imports() -> None:
    """Load NNI's search part without what it and its dependencies say about versions of each other."""
    warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with redirect_stderr(StringIO()):
        import nni.nas.strategy  # noqa: F401


def _miniature(name: str) -> Any:
    return MINIATURE[name.replace("-", "_")]
