"""Make a report of a search: one HTML file with figures, cells and the ranking.

Reads an experiment of NNI or a run folder of hnas search, finished or running. The file needs no network.
With --compare it also shows what trained networks make of images, as hnas compare draws it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import add_force, add_quiet, add_working_dir, check_output
from hnas_nni.cli.comparison_options import (
    add_comparison_options,
    check_comparison,
    compare_models,
    refuse_comparison_options,
)
from hnas_nni.cli.inference_options import MODELS_HELP

if TYPE_CHECKING:
    from hnas_nni.searches.history import SearchHistory
    from hnas_nni.searches.record import MeasuredArchitecture

HELP = "make a report of a search: one HTML file"
_EXAMPLES = """\
examples:
  hnas report                                the latest experiment of NNI, to hnas_report.html
  hnas report AbC12xyz --out search.html     an experiment by its id
  hnas report --comparators                  the winner beside plain stacks and the paper's cells, trained alike
  hnas report runs/x2 --published            a run folder of hnas search, beside published networks
  hnas report --watch 30 --force             made anew every 30 s while the search runs; the page follows
  hnas report runs/x2 --compare runs/x2_trained/last.safetensors --data Set5
  hnas report runs/x2 --compare a.safetensors b.safetensors --data embedded:photos --crop chelsea=130,90,64,64
"""
_PICTURES = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas report``."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="an experiment's id or folder, or the run folder of hnas search (the latest experiment)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("hnas_report.html"), metavar="FILE", help="the HTML file (%(default)s)"
    )
    add_force(parser)
    parser.add_argument("--published", action="store_true", help="put published networks beside the search")
    parser.add_argument(
        "--pictures",
        type=int,
        default=_PICTURES,
        metavar="N",
        help="draw the cells of the N best architectures (%(default)s)",
    )
    parser.add_argument("--watch", type=int, metavar="SECONDS", help="make it anew until the search ends")
    add_working_dir(parser)
    add_quiet(parser)
    parser.add_argument(
        "--comparators",
        action="store_true",
        help="train plain stacks and the paper's cells at the winner's price as it was, and show them beside it",
    )
    group = parser.add_argument_group("comparison", "what trained networks make of images, details side by side")
    group.add_argument("--compare", dest="models", nargs="+", metavar="MODEL", help=MODELS_HELP)
    add_comparison_options(group, data_required=False)


def run(options: argparse.Namespace) -> None:
    """Write the report, once or until the search ends."""
    if options.pictures < 1:
        raise ValueError(f"--pictures: {options.pictures} is not valid; give at least 1")
    if options.watch is not None and options.watch < 1:
        raise ValueError(f"--watch: {options.watch} is not valid; give at least 1 second")
    if options.out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{options.out}: a report is an HTML file; give a name that ends in .html")
    check_output(options.out, options.force)
    if options.models is None:
        refuse_comparison_options(options)
    elif options.data is None:
        raise ValueError("--compare: on which images? Give --data DIR, or --data embedded:photos")
    else:
        check_comparison(options)
    from hnas_nni.report.page import write_report
    from hnas_nni.searches import open_search

    search = open_search(options.run, options.working_dir)
    history = search.history()
    held_against = _comparators(search.path, history, options.quiet) if options.comparators else ()
    comparisons = compare_models(options) if options.models else []
    while True:
        write_report(
            replace(history, comparators=held_against),
            options.out,
            published=options.published,
            pictures=options.pictures,
            refresh=options.watch,
            comparisons=comparisons,
        )
        if not options.quiet:
            print(f"{_words(history)} -> {options.out} ({options.out.stat().st_size / 1e6:.1f} MB)", flush=True)
        if options.watch is None or history.state != "running":
            return
        time.sleep(options.watch)
        history = open_search(options.run, options.working_dir).history()


def _comparators(folder: Path, history: SearchHistory, quiet: bool) -> tuple[MeasuredArchitecture, ...]:
    """Train what the winner is held against, or read what was trained before."""
    from hnas_nni.searches.record import MeasuredArchitecture
    from hnas_nni.trial.comparators import train_comparators
    from hnas_nni.trial.parameters import Stage
    from hnas_nni.trial.settings import TrialSettings

    winner = history.winner
    if history.unit != "trial" or winner is None or winner.gmacs is None or not winner.steps:
        raise ValueError("--comparators: only for a search by trials of hnas-nni whose winner is trained; leave it out")
    known = {name: history.settings[name] for name in TrialSettings.stated() if name in history.settings}
    stage = Stage(1, winner.steps)
    tell = None if quiet else lambda line: print(line, flush=True)
    return tuple(
        MeasuredArchitecture(
            found.genotype, found.psnr, found.psnr, found.gmacs, found.params, comparator=found.name, steps=winner.steps
        )
        for found in train_comparators(winner.gmacs, TrialSettings(**known), stage, folder, tell)
    )


def _words(history: SearchHistory) -> str:
    total = "" if history.planned is None else f" of {history.planned}"
    error = "" if history.ended_with is None else f", ended with an error ({history.ended_with})"
    return f"{history.kind} {history.source}, {history.state}: {history.done}{total} {history.unit}s{error}"
