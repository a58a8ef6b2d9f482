"""How many architectures the strategies of NNI must evaluate, on a table in which all architectures were measured.

    python benchmarks/compare_strategies build table.npz
    python benchmarks/compare_strategies run table.npz --seeds 20 --csv compare.csv

`build` trains one supernet on photographs and measures each of 3,840 architectures with its weights, in some ten
minutes of one CPU core; interrupted or killed, it goes on where it was. `run` lets every strategy search
the table through NNI's own interface and prints how many evaluations it took to reach the top 1 %, as a Markdown table.
With ``--vary learning_rate 0.003 0.01 0.03`` it compares our strategy with itself under other settings.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from hnas_nni.cli.arguments import add_force, check_output
from hnas_nni.cli.terminal import Parser, one_line, print_error
from hnas_nni.files import replacing
from hnas_nni.trial.reward import JointReward

if TYPE_CHECKING:
    from architecture_table import SubSpace

TOP_SHARE = 0.01


def _nni(name: str, **arguments: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from nni.nas import strategy

        return getattr(strategy, name)(seed=seed, **arguments)

    return make


def _ppo(**arguments: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        import torch
        from nni.nas.strategy import PolicyBasedRL

        np.random.seed(seed)  # tianshou and torch draw from the global generators
        torch.manual_seed(seed)
        return PolicyBasedRL(**arguments)

    return make


def _ours(**arguments: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from strategies import HierarchicalRL

        return HierarchicalRL(seed=seed, **arguments)

    return make


CONTENDERS: dict[str, Callable[[int], Any]] = {
    "HierarchicalRL": _ours(),
    "HierarchicalRL, not conditioned": _ours(conditioned=False),
    "HierarchicalRL, no predictor": _ours(candidates=1),
    "HierarchicalRL, no predictor, not conditioned": _ours(candidates=1, conditioned=False),
    "Random": _nni("Random"),
    "GridSearch": _nni("GridSearch"),
    "TPE": _nni("TPE"),
    "RegularizedEvolution": _nni("RegularizedEvolution"),
    "RegularizedEvolution, population 20": _nni("RegularizedEvolution", population_size=20, sample_size=5),
    "PolicyBasedRL (PPO)": _ppo(),
    "PolicyBasedRL (PPO), 5 trials an update": _ppo(samples_per_update=5),
}
"""Name -> makes the strategy of a seed. What has no remark has its defaults."""

_NEEDS_TIANSHOU = {name for name in CONTENDERS if name.startswith("PolicyBasedRL")}
_VARIED = "HierarchicalRL, "
_MARKS = (50, 100)
"""After so many evaluations the best reward is looked at, besides the end."""


def contender(name: str) -> Callable[[int], Any]:
    """Return what makes the strategy of a seed: one of :data:`CONTENDERS`, or ours with a setting ``name=value``."""
    if name in CONTENDERS:
        return CONTENDERS[name]
    setting, _, value = name.removeprefix(_VARIED).partition("=")
    return _ours(**{setting: json.loads(value)})


def search(name: str, seed: int, subspace: SubSpace, rewards: np.ndarray, budget: int) -> np.ndarray:
    """Let a strategy search the table; return the rewards in the order of its evaluations, shape (budget,) at most."""
    import torch
    from architecture_table import table_space
    from nni.nas.execution import SequentialExecutionEngine

    logging.getLogger("nni").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    engine = SequentialExecutionEngine(max_model_count=budget)
    with _no_waiting():
        contender(name)(seed)(table_space(subspace, rewards), engine)
    return np.array([model.metric for model in engine.list_models()])


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Keep NNI's TPE from sleeping a second before each evaluation, which has no effect on what it proposes."""
    from types import SimpleNamespace

    from nni.nas.strategy import hpo

    original, hpo.time = hpo.time, SimpleNamespace(sleep=lambda seconds: None)
    try:
        yield
    finally:
        hpo.time = original


def needed(found: np.ndarray, threshold: float) -> int | None:
    """Return how many evaluations it took to reach a reward, None if it was not reached."""
    hits = np.flatnonzero(found >= threshold)
    return int(hits[0]) + 1 if len(hits) else None


def top_threshold(rewards: np.ndarray, share: float = TOP_SHARE) -> float:
    """Return the least reward of the best share of a table."""
    return float(np.sort(rewards)[-max(1, round(share * len(rewards)))])


def summary(runs: dict[str, list[np.ndarray]], rewards: np.ndarray, budget: int) -> list[list[str]]:
    """Return the rows of the result; a run that never got there counts with the whole budget."""
    threshold, best = top_threshold(rewards), rewards.max()
    marks = [mark for mark in _MARKS if mark < budget] + [budget]
    rows = [["strategy", "evaluations to the top 1 %", "median", "reached", *(f"best of {mark}" for mark in marks)]]
    for name, found in runs.items():
        counts = [needed(run, threshold) for run in found]
        filled = [budget if count is None else count for count in counts]
        reached = sum(count is not None for count in counts)
        gaps = [_spread([run[:mark].max() - best for run in found], 2) for mark in marks]
        mean = f"{'≥ ' if reached < len(found) else ''}{_spread(filled, 0)}"
        rows.append([name, mean, f"{np.median(filled):.0f}", f"{reached}/{len(found)}", *gaps])
    return rows


def _spread(values: list[Any], digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def _build(options: argparse.Namespace) -> None:
    from architecture_table import default_subspace
    from table_builder import BuildSettings, build_table

    settings = BuildSettings(**{field.name: getattr(options, field.name) for field in fields(BuildSettings)})
    table = build_table(default_subspace(settings.layers), settings, options.table)
    print(
        f"{options.table}: {len(table.psnr)} architectures, PSNR {table.psnr.min():.2f} to {table.psnr.max():.2f} dB, "
        f"{table.gmacs.min():.1f} to {table.gmacs.max():.1f} G multiply-adds"
    )


def _run(options: argparse.Namespace) -> None:
    if options.csv is not None:
        check_output(options.csv, options.force)
    for name in ("seeds", "budget", "workers"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name}: {getattr(options, name)} is not valid; give at least 1")
    names = _contenders(options)
    from architecture_table import ArchitectureTable

    table = ArchitectureTable.load(options.table)
    if not table.complete:
        raise ValueError(f"{options.table}: is not complete; run `build` with the same settings again")
    budget = min(options.budget, len(table.subspace))
    rewards = JointReward(options.weight)(table.psnr, table.gmacs)  # type: ignore[arg-type]
    runs: dict[str, list[Any]] = {name: [None] * options.seeds for name in names}
    searches = [(name, number) for name in runs for number in range(options.seeds)]
    shared = (table.subspace, rewards, budget)
    if options.workers == 1:
        for name, number in tqdm(searches, unit="search", disable=None):
            runs[name][number] = search(name, options.first_seed + number, *shared)
    else:
        with ProcessPoolExecutor(options.workers) as pool:
            jobs = {
                pool.submit(search, name, options.first_seed + number, *shared): (name, number)
                for name, number in searches
            }
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="search", disable=None):
                name, number = jobs[job]
                runs[name][number] = job.result()
    rows = summary(runs, np.asarray(rewards), budget)
    for number, row in enumerate(rows):
        print("| " + " | ".join(row) + " |" + ("\n|" + "---|" * len(row) if number == 0 else ""))
    if options.csv is not None:
        with replacing(options.csv) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["strategy", "seed", "evaluation", "reward"])
            for name, found in runs.items():
                for number, run in enumerate(found):
                    seed = options.first_seed + number
                    writer.writerows([name, seed, step, reward] for step, reward in enumerate(run.tolist(), start=1))


def _contenders(options: argparse.Namespace) -> list[str]:
    """Return the names of those that compete."""
    varied = [f"{_VARIED}{name}={value}" for name, *values in options.vary for value in values]
    for name in varied:
        try:
            contender(name)(0)
        except ValueError as error:
            raise ValueError(f"--vary: {name.removeprefix(_VARIED)}: {error}") from None
    names = options.only or (["HierarchicalRL"] if varied else list(CONTENDERS))
    if find_spec("tianshou") is None and not _NEEDS_TIANSHOU.isdisjoint(names):
        if options.only:
            raise ValueError('--only: PolicyBasedRL needs tianshou; pip install "tianshou<0.5" gymnasium')
        names = [name for name in names if name not in _NEEDS_TIANSHOU]
        print('PolicyBasedRL is left out; it needs pip install "tianshou<0.5" gymnasium', file=sys.stderr)
    return [*names, *varied]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="compare_strategies", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="build|run")
    build = commands.add_parser("build", help="measure all architectures", description="Measure all architectures.")
    build.add_argument("table", type=Path, help="the table; made, or completed if a part of it is there")
    # The defaults are those of BuildSettings, which is not imported here as it loads torch and Lightning.
    for name, default, text in (
        ("data", "embedded:photos", 'folder of images, or "embedded:photos" for those that come along'),
        ("scale", 2, "upscaling factor"),
        ("channels", 8, "C of the supernet"),
        ("layers", 6, "L; there are 640 architectures for each of the positions 1..L"),
        ("steps", 3000, "training steps of the supernet"),
        ("batch", 8, "patches in a step"),
        ("patch", 48, "side of a patch in HR pixels"),
        ("learning-rate", 2e-3, "at the first step"),
        ("measured-patches", 16, "patches that PSNR is measured on"),
        ("cost-channels", 16, "C of the networks whose multiply-adds are counted"),
        ("seed", 0, "of weights, paths and batches"),
    ):
        build.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (%(default)s)")
    build.set_defaults(command=_build)
    run = commands.add_parser("run", help="compare the strategies", description="Compare the strategies on a table.")
    run.add_argument("table", type=Path, help="what `build` made")
    run.add_argument("--lambda", dest="weight", type=float, default=0.6, help="of the joint reward (%(default)s)")
    run.add_argument("--seeds", type=int, default=20, help="searches of each strategy (%(default)s)")
    run.add_argument("--first-seed", type=int, default=0, help="seed of the first of them (%(default)s)")
    run.add_argument("--budget", type=int, default=200, help="evaluations of a search (%(default)s)")
    run.add_argument(
        "--only", nargs="+", choices=CONTENDERS, metavar="NAME", help=f"of these: {', '.join(CONTENDERS)} (all)"
    )
    run.add_argument(
        "--vary",
        nargs="+",
        action="append",
        default=[],
        metavar=("SETTING", "VALUE"),
        help="also HierarchicalRL with each value of one of its settings; may be given several times",
    )
    run.add_argument("--workers", type=int, default=2, help="searches at a time (%(default)s)")
    run.add_argument("--csv", type=Path, metavar="FILE.csv", help="write the reward of every evaluation")
    add_force(run)
    run.set_defaults(command=_run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError) as error:
        print_error("compare_strategies", one_line(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
