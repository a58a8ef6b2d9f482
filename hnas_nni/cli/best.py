"""Show the best architectures of a search: one that NNI ran or is running, or a run of hnas search.

Reads the search's folder, so neither the web UI nor NNI needs to run.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, add_working_dir, check_output
from hnas_nni.cli.terminal import strong, table

if TYPE_CHECKING:
    from hnas_nni.architecture.genotype import Genotype
    from hnas_nni.searches import RankedGenotype, TrialRecord

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


@dataclass(frozen=True)
class _Ranking:
    """A search's architectures, the best first, as they are printed."""

    title: str
    about: dict[str, Any]
    header: list[str]
    rows: list[list[str]]
    entries: list[dict[str, Any]]
    winner: Genotype
    write_weights: Callable[[Path], None]
    note: str = ""


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
    from hnas_nni.searches.search_folder import SearchFolder

    if options.run is not None and SearchFolder(options.run).exists:
        ranking = _of_run(SearchFolder(options.run), options)
    else:
        ranking = _of_experiment(options)
    written = []
    if options.weights is not None:
        ranking.write_weights(options.weights)
        written.append(f"weights of the winner written to {options.weights}")
    if options.out is not None:
        ranking.winner.to_json(options.out)
        written.insert(0, f"genotype of the winner written to {options.out}")
    if options.json:
        print(json.dumps({**ranking.about, "best": ranking.entries[: options.top]}, indent=2))
        return
    print(f"{strong(ranking.title)}\n")
    print(table(ranking.header, ranking.rows[: options.top]))
    if len(ranking.rows) > options.top:
        print(f"and {len(ranking.rows) - options.top} more; --top {len(ranking.rows)} shows all")
    for line in [*([ranking.note] if ranking.note else []), *([] if options.quiet else written)]:
        print(f"\n{line}")


def _of_experiment(options: argparse.Namespace) -> _Ranking:
    from hnas_nni.searches import ExperimentError, find_experiment, rank, read_trials, reward_weights

    folder = find_experiment(options.run, options.working_dir)
    trials = read_trials(folder)
    weights = reward_weights(trials)
    ranked = trials
    if options.reward_lambda is not None:
        ranked = [trial for trial in trials if trial.reward_weight == options.reward_lambda]
        if not any(trial.finished for trial in ranked):
            known = ", ".join(f"{weight:g}" for weight in weights) or "not known"
            raise ExperimentError(f"--lambda: no finished trial has {options.reward_lambda:g}; theirs are {known}")
    ranking = rank(ranked)
    differ = len(weights) > 1
    winner = ranking[0]

    def write_weights(path: Path) -> None:
        from hnas_nni.searches.weights import export_search_weights, export_weights  # torch takes seconds to load

        if winner.trial.search is None:
            export_weights(folder, winner.genotype, path)
        else:
            export_search_weights(winner.trial.search, path)

    return _Ranking(
        title=f"experiment {folder.name} ({_states(trials)}) in {folder}",
        about={
            "experiment": folder.name,
            "folder": str(folder),
            "trials": dict(Counter(trial.status for trial in trials)),
        },
        header=_header("trial", "evaluated", with_lambda=differ),
        rows=[_trial_row(place, entry, with_lambda=differ) for place, entry in enumerate(ranking, start=1)],
        entries=[_trial_entry(place, entry) for place, entry in enumerate(ranking, start=1)],
        winner=winner.genotype,
        write_weights=write_weights,
        note=_family_note(weights) if differ and options.reward_lambda is None else "",
    )


def _of_run(run: Any, options: argparse.Namespace) -> _Ranking:
    from hnas_nni.output_folder import OutputFolderError

    settings = run.about()["settings"]
    weight = settings.get("reward_lambda")
    if options.reward_lambda not in (None, weight):
        raise OutputFolderError(f"--lambda: {run.path} is a search with {weight:g}, not {options.reward_lambda:g}")
    rows = run.ranking()

    def write_weights(path: Path) -> None:
        from hnas_nni.searches.weights import export_search_weights

        export_search_weights(run, path)

    return _Ranking(
        title=f"search {run.path.resolve().name} ({len(rows)} architectures ranked, lambda {weight:g}) in {run.path}",
        about={"run": run.path.resolve().name, "folder": str(run.path.resolve()), "lambda": weight},
        header=_header("Pareto set", with_lambda=False),
        rows=[
            [*_figures(row["rank"], row["reward"], row), str(row["position"]), "yes" if row["pareto"] else "no"]
            for row in rows
        ],
        entries=[
            {
                **{name: row[name] for name in ("rank", "reward", "psnr", "gmacs", "params", "pareto")},
                "genotype": row["genotype"].to_dict(),
            }
            for row in rows
        ],
        winner=rows[0]["genotype"],
        write_weights=write_weights,
    )


def _family_note(weights: Sequence[float]) -> str:
    named = ", ".join(f"{weight:g}" for weight in weights)
    return f"rewards of different lambda ({named}) can't be compared; --lambda {weights[0]:g} shows those of one"


def _states(trials: Sequence[TrialRecord]) -> str:
    states = Counter(trial.status.lower().replace("_", " ") for trial in trials)
    noun = "trial" if len(trials) == 1 else "trials"
    return f"{len(trials)} {noun}: " + ", ".join(f"{number} {state}" for state, number in states.most_common())


def _header(*last: str, with_lambda: bool) -> list[str]:
    figures = ["reward", "PSNR (dB)", "multiply-adds (G)", "parameters", "position"]
    return ["rank", *(["lambda"] if with_lambda else []), *figures, *last]


def _figures(place: int, reward: float | None, of: dict[str, Any], weight: str | None = None) -> list[str]:
    """Return the cells up to the parameters."""
    return [
        str(place),
        *([] if weight is None else [weight]),
        f"{reward:.4f}",
        "-" if of["psnr"] is None else f"{of['psnr']:.3f}",
        "-" if of["gmacs"] is None else f"{of['gmacs']:.2f}",
        "-" if of["params"] is None else f"{of['params']:,}",
    ]


def _trial_row(place: int, entry: RankedGenotype, *, with_lambda: bool) -> list[str]:
    trial = entry.trial
    weight = "-" if trial.reward_weight is None else f"{trial.reward_weight:g}"
    return [
        *_figures(place, trial.reward, vars(trial), weight if with_lambda else None),
        str(entry.genotype.position),
        f"{trial.number} ({trial.id})",
        "once" if entry.trials == 1 else f"{entry.trials} times",
    ]


def _trial_entry(place: int, entry: RankedGenotype) -> dict[str, Any]:
    trial = entry.trial
    return {
        "rank": place,
        "lambda": trial.reward_weight,
        "reward": trial.reward,
        "psnr": trial.psnr,
        "gmacs": trial.gmacs,
        "params": trial.params,
        "trial": trial.number,
        "trial_id": trial.id,
        "evaluated": entry.trials,
        "genotype": entry.genotype.to_dict(),
    }
