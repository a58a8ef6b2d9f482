"""Show the best architectures of a search that NNI ran or is running.

Reads the experiment's folder, so neither the web UI nor NNI needs to run.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.cli.arguments import add_force, add_json, add_working_dir, check_output
from hnas_nni.cli.terminal import strong, table

if TYPE_CHECKING:
    from hnas_nni.experiments import RankedGenotype, TrialRecord

HELP = "show the best architectures of a search, and write out the winner"
_HEADER = ("rank", "reward", "PSNR (dB)", "multiply-adds (G)", "parameters", "position", "trial", "evaluated")
_EXAMPLES = """\
examples:
  hnas best                                  the latest search on this machine
  hnas best AbC12xyz --top 3                 a search by its id
  hnas best --working-dir ./experiments      the latest search in a working directory
  hnas best --out best.json --weights best.safetensors
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas best``."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "experiment",
        nargs="?",
        metavar="EXPERIMENT",
        help="NNI's id, or the experiment's folder (the latest)",
    )
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many to show (%(default)s)")
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


def run(options: argparse.Namespace) -> None:
    """Print the ranking, and write the winner's files if that is asked for."""
    if options.top < 1:
        raise ValueError(f"--top: {options.top} is not valid; give at least 1")
    for path in (options.out, options.weights):
        if path is not None:
            check_output(path, options.force)
    from hnas_nni.experiments import find_experiment, rank, read_trials

    experiment = find_experiment(options.experiment, options.working_dir)
    trials = read_trials(experiment)
    ranking = rank(trials)
    winner = ranking[0].genotype
    written = []
    if options.out is not None:
        winner.to_json(options.out)
        written.append(f"genotype of the winner written to {options.out}")
    if options.weights is not None:
        from hnas_nni.weights import export_weights

        export_weights(experiment, winner, options.weights)
        written.append(f"weights of the winner written to {options.weights}")
    shown = ranking[: options.top]
    if options.json:
        print(json.dumps(_json(experiment, trials, shown), indent=2))
        return
    print(f"{strong(f'experiment {experiment.name}')} ({_states(trials)}) in {experiment}\n")
    print(table(_HEADER, [_row(place, entry) for place, entry in enumerate(shown, start=1)]))
    if len(ranking) > len(shown):
        print(f"and {len(ranking) - len(shown)} more; --top {len(ranking)} shows all")
    for line in written:
        print(f"\n{line}")


def _states(trials: Sequence[TrialRecord]) -> str:
    states = Counter(trial.status.lower().replace("_", " ") for trial in trials)
    noun = "trial" if len(trials) == 1 else "trials"
    return f"{len(trials)} {noun}: " + ", ".join(f"{number} {state}" for state, number in states.most_common())


def _row(place: int, entry: RankedGenotype) -> tuple[str, ...]:
    trial = entry.trial
    return (
        str(place),
        f"{trial.reward:.4f}",
        "-" if trial.psnr is None else f"{trial.psnr:.3f}",
        "-" if trial.gmacs is None else f"{trial.gmacs:.2f}",
        "-" if trial.params is None else f"{trial.params:,}",
        str(entry.genotype.position),
        f"{trial.number} ({trial.id})",
        "once" if entry.trials == 1 else f"{entry.trials} times",
    )


def _json(experiment: Path, trials: Sequence[TrialRecord], ranking: Sequence[RankedGenotype]) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "folder": str(experiment),
        "trials": dict(Counter(trial.status for trial in trials)),
        "best": [
            {
                "rank": place,
                "reward": entry.trial.reward,
                "psnr": entry.trial.psnr,
                "gmacs": entry.trial.gmacs,
                "params": entry.trial.params,
                "trial": entry.trial.number,
                "trial_id": entry.trial.id,
                "evaluated": entry.trials,
                "genotype": entry.genotype.to_dict(),
            }
            for place, entry in enumerate(ranking, start=1)
        ],
    }
