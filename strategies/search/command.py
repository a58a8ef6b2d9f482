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
from io import StringIO
from pathlib import Path

from hnas_nni.cli.arguments import add_json, add_quiet
from hnas_nni.cli.ranking import ranking_table
from hnas_nni.output_folder import OutputFolder
from hnas_nni.searches.search_folder import WINNER
from hnas_nni.settings.options import add_options, given, in_words
from strategies.search.settings import MINIATURE, SearchSettings
from strategies.search.sizes import decided_by_budget

HELP = "search with shared weights (the paper's Algorithm 1)"

_SHOWN = 5
_EXAMPLES = """\
examples:
  hnas search --miniature --out runs/first                 a first search in minutes on a CPU, on embedded photographs
  hnas search --space efficient --budget 4 --miniature --data photos/ --out runs/four
                                                           at most 4 GMAC; C and L are those that fill it
  hnas search --data DIV2K/DIV2K_train_HR --validation Set5 --lambda 0.6 --out runs/b
                                                           the paper's scale, for a GPU
  hnas search --miniature --data photos/ --layers 8 --out runs/mine
                                                           one's own images, one setting changed
  hnas report runs/mine                                    look at it, also while it runs
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas search``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the search; made if need be")
    parser.add_argument(
        "--miniature", action="store_true", help="defaults for minutes on a CPU in place of the paper's"
    )
    shown = {name: f"{{}}; {in_words(value)} in miniature" for name, value in MINIATURE.items()}
    groups = add_options(parser, SearchSettings, shown)
    add_json(groups["result"])
    machine = groups["machine"]
    machine.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        metavar="X",
        help="save the state so often within an epoch (%(default)s)",
    )
    add_quiet(machine)


def settings_of(options: argparse.Namespace) -> SearchSettings:
    """Return the settings that the options ask for, and those that a budget decides."""
    make = SearchSettings.miniature if options.miniature else SearchSettings
    said = given(options, SearchSettings)
    return make(**decided_by_budget(make(**said), said), **said)


def run(options: argparse.Namespace) -> None:
    """Search, or go on with a search, and print the ranking."""
    settings = settings_of(options).located()
    if not 0 <= options.checkpoint_seconds < math.inf:
        raise ValueError(f"--checkpoint-seconds: {options.checkpoint_seconds} is not valid; give at least 0")
    folder = OutputFolder(options.out)
    if not folder.exists:
        folder.check_place()
    if not (options.quiet or options.json):  # before torch and NNI are loaded, which takes seconds
        print(_plan(options.out, settings), file=sys.stderr, flush=True)
    quiet_imports()
    from hnas_nni.training.memory import keep_freed_memory
    from strategies.search.engine import WeightSharingSearch

    keep_freed_memory()
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
    if already and not options.quiet:
        print(f"{options.out}: this search has finished before")
    print(ranking_table(ranking[:_SHOWN]))
    if options.quiet:
        return
    print(f"\n{len(ranking)} architectures ranked in {options.out / 'architectures.csv'}")
    print(f"winner: {options.out / 'winner.json'}")
    print(f"next:   hnas report {options.out}")
    print(f"        {training_command(options.out / WINNER, settings, options.miniature)}")


def _plan(folder: Path, settings: SearchSettings) -> str:
    return (
        f"search in {folder}: {settings.space} space, x{settings.scale}, C = {settings.channels}, "
        f"L = {settings.layers}; {settings.epochs} epochs"
    )


def training_command(winner: Path, settings: SearchSettings, miniature: bool) -> str:
    """Return the command that trains what a search has found, in the sizes that were searched.

    With the paper's a training costs far more than what was looked at.
    """
    words = ["hnas", "train", str(winner), *(["--miniature"] if miniature else [])]
    for name in ("scale", "layers", "channels"):
        words += [f"--{name}", str(getattr(settings, name))]
    words += ["--data", *settings.data]
    if settings.validation is not None:
        words += ["--validation", settings.validation]
    return f"{shlex.join(words)} --out DIR"


def quiet_imports() -> None:
    """Load NNI's search part without what it and its dependencies say about versions of each other."""
    warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module.*")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with redirect_stderr(StringIO()):
        import nni.nas.strategy  # noqa: F401
