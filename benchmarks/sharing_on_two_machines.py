"""What it brings that trials on two machines share their weights: the same trials with and without.

    python benchmarks/sharing_on_two_machines.py --data BSDS500/train --out sharing.jsonl

Each experiment is one of NNI's remote training service, over two sshds on this machine's loopback, each with a home
folder of its own; two trials at a time over both. The architectures are drawn evenly from the paper's space and are the
same in all experiments of a seed, in the same order and with the same batches (but for trials that begin at the same
moment, which NNI may number either way), so that what differs are the weights that a trial starts from: those that both
machines share through the server beside the manager; those of a file that each machine has for itself
(``--shared-weights``), as it was before there was that server; or none (``--no-sharing``). Gains compare each
architecture with itself: their mean, with a 90 % interval from resampled architectures; over the seeds, mean and
standard deviation. Beside them, how far the best trial is behind the best of the other experiment by the PSNR of that
one, and rank correlations of the gain with the trial's number and of the PSNRs of both. Seconds are from the first
trial's start to the last one's end. Each experiment's result is written at once, and what is in the file is not run
again; ``--table`` prints it. Needs sshd and ssh-keygen, and what the tests need.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shlex
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from at_equal_price_parts.training import read
from sharing_on_two_machines_parts.given_architectures import drawn_architecture

from hnas_nni.searches import read_experiment
from search_spaces import search_space_json
from search_spaces.compat.loopback import PRELOAD
from search_spaces.compat.preload import VARIABLE, node_options

_REPOSITORY = Path(__file__).resolve().parents[1]
_PARTS = Path(__file__).resolve().with_name("sharing_on_two_machines_parts")
_RESAMPLES = 2000
_ENDS = (signal.SIGINT, signal.SIGTERM)

ARMS = {
    "shared by both machines": "",
    "each machine its own": '--shared-weights "$HOME/shared_weights.sqlite"',
    "none shared": "--no-sharing",
}
"""Options of the trials by what the table calls them."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """What an experiment is, but for its seed and what it shares."""

    trials: int
    steps: int
    layers: int
    channels: int
    batch: int
    patch: int

    def command(self, data: Path, limit: int, seed: int, options: str) -> str:
        """Return the trials' command; bash's own clock says to stderr what it took."""
        numbers = f"--steps {self.steps} --layers {self.layers} --channels {self.channels} --batch {self.batch}"
        numbers += f" --patch {self.patch} --measured-patches 64 --limit {limit} --seed {seed} --reports 1 --threads 1"
        command = f"python -m hnas_nni.trial --data {shlex.quote(str(data))} {numbers} {options}".rstrip()
        return f"TIMEFORMAT='took %U %S'; time {command}"


def run(sizes: Sizes, seed: int, options: str, data: Path, limit: int) -> Row:
    """Run an experiment on two machines; returns its seconds and its trials, in the order of their proposals."""
    sys.path.append(str(_REPOSITORY / "tests" / "support"))
    from nni_experiment import start_experiment
    from ssh_machines import running_machines

    with tempfile.TemporaryDirectory() as name, running_machines(Path(name), 2) as machines:
        folder = Path(name)
        (folder / "code").mkdir()
        (folder / "code" / "note.txt").touch()  # NNI copies no empty folder
        (folder / "space.json").write_text(json.dumps(search_space_json(sizes.layers)), encoding="utf-8")
        config = {
            "experimentName": "sharing on two machines",
            "searchSpaceFile": str(folder / "space.json"),
            "trialCommand": sizes.command(data, limit, seed, options),
            "trialCodeDirectory": str(folder / "code"),
            "trialConcurrency": 2,
            "maxTrialNumber": sizes.trials,
            "nniManagerIp": "127.0.0.1",
            "tuner": {
                "className": "given_architectures.GivenArchitectures",
                "codeDirectory": str(_PARTS),
                "classArgs": {"draw": seed, "layers": sizes.layers, "lambda": 0.6, "seed": seed, "candidates": 1},
            },
            "trainingService": {"platform": "remote", "machineList": [machine.to_nni() for machine in machines]},
        }
        experiment = start_experiment(folder, config)
        try:
            experiment.wait()
            found = read_experiment(experiment.directory).finished
        finally:
            experiment.kill()
        drawn = {str(drawn_architecture(seed, number, sizes.layers)): number for number in range(sizes.trials)}
        trials = []
        for entry in found:
            trial = entry.trial
            assert trial and trial.start and trial.end and trial.elsewhere
            (log,) = (log for machine in machines for log in machine.home.glob(f"**/{trial.id}/trial.stderr"))
            took = re.findall(r"took (\S+) (\S+)", log.read_text())[-1]
            trials.append(
                {
                    "number": drawn[str(entry.genotype)],
                    "trial": trial.number,
                    "machine": int(trial.elsewhere.environment.removeprefix("remote-worker")),
                    "psnr": entry.psnr,
                    "reward": entry.reward,
                    "gmacs": entry.gmacs,
                    "cpu": round(sum(map(float, took)), 2),
                    "start": trial.start.timestamp(),
                    "end": trial.end.timestamp(),
                    "genotype": str(entry.genotype),
                }
            )
    if len(trials) != sizes.trials:
        raise RuntimeError(f"{len(trials)} of {sizes.trials} trials succeeded")
    trials.sort(key=lambda row: row["number"])
    seconds = max(row["end"] for row in trials) - min(row["start"] for row in trials)
    return {"seconds": round(seconds, 1), "trials": trials}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the results as Markdown tables."""
    count = len(rows[0]["trials"])
    halves = {f"trials 1 to {count // 2}": slice(count // 2), f"{count // 2 + 1} to {count}": slice(count // 2, None)}
    psnr = {(row["arm"], row["seed"]): np.array([trial["psnr"] for trial in row["trials"]]) for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    first = [sum(trial["machine"] == 1 for trial in row["trials"]) for row in rows]
    yield f"{count} trials in each experiment, {min(first)} to {max(first)} of them on machine 1; PSNR in dB\n"
    yield f"| seed | weights | {' | '.join(halves)} | sd | best | the best's number | CPU s | s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: (row["seed"], list(ARMS).index(row["arm"]))):
        values = psnr[row["arm"], row["seed"]]
        means = " | ".join(f"{values[half].mean():.2f}" for half in halves.values())
        cpu = sum(trial["cpu"] for trial in row["trials"])
        yield (
            f"| {row['seed']} | {row['arm']} | {means} | {values.std(ddof=1):.2f} | {values.max():.2f} "
            f"| {values.argmax() + 1} | {cpu:.0f} | {row['seconds']:.0f} |"
        )
    yield f"\n| gain | seed | {' | '.join(halves)} | better in | best | winner | with the number | orders |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one, other in itertools.combinations(ARMS, 2):
        paired = [seed for seed in seeds if (one, seed) in psnr and (other, seed) in psnr]
        gains = [psnr[one, seed] - psnr[other, seed] for seed in paired]
        for seed, gain in zip(paired, gains, strict=True):
            cells = [_interval(gain[half]) for half in halves.values()]
            cells.append(f"{(gain > 0).sum()} of {count}")
            cells.append(f"{psnr[one, seed].max() - psnr[other, seed].max():+.2f}")
            cells.append(f"{psnr[other, seed][psnr[one, seed].argmax()] - psnr[other, seed].max():.2f}")
            cells.append(f"{_rank_correlation(gain, np.arange(count)):.2f}")
            cells.append(f"{_rank_correlation(psnr[one, seed], psnr[other, seed]):.2f}")
            yield f"| {one}, over {other} | {seed} | {' | '.join(cells)} |"
        if len(paired) > 1:
            cells = [_spread([float(gain[half].mean()) for gain in gains]) for half in halves.values()]
            cells.append(f"{sum(int((gain > 0).sum()) for gain in gains)} of {count * len(paired)}")
            cells.append(_spread([float(psnr[one, seed].max() - psnr[other, seed].max()) for seed in paired]))
            yield f"| {one}, over {other} | {len(paired)} seeds | {' | '.join(cells)} | | | |"


def _spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{statistics.fmean(values):+.2f} ± {statistics.stdev(values):.2f}"


def _interval(gains: np.ndarray) -> str:
    """Return the mean over architectures with a 90 % interval, from resampled ones."""
    draw = np.random.default_rng(0)
    means = gains[draw.integers(gains.size, size=(_RESAMPLES, gains.size))].mean(axis=1)
    low, high = np.quantile(means, (0.05, 0.95))
    return f"{gains.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [values.argsort().argsort() for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def _once(known: list[Row], row: Row, out: Path, compute: Callable[[], Row]) -> None:
    """Compute and keep a result, unless it is there."""
    if any(row.items() <= other.items() for other in known):
        return
    print(f"{time.strftime('%H:%M:%S')} {row}", flush=True)
    known.append(row | compute())
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(known[-1]) + "\n")


def _end(number: int, _: Any) -> None:
    """End experiment and machines when this is to end; another signal does not disturb that."""
    for other in _ENDS:
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="images (default: those that come along)")
    parser.add_argument("--limit", type=int, default=40, help="of these in each split at most (default: 40)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file of results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="(default: 0 1)")
    parser.add_argument("--arms", choices=list(ARMS), nargs="+", default=list(ARMS), help="(default: all)")
    parser.add_argument("--trials", type=int, default=24, help="of an experiment (default: 24)")
    parser.add_argument("--steps", type=int, default=100, help="training steps of a trial (default: 100)")
    parser.add_argument("--layers", type=int, default=4, help="L (default: 4)")
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--batch", type=int, default=4, help="patches of a step (default: 4)")
    parser.add_argument("--patch", type=int, default=32, help="their side in HR pixels (default: 32)")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    for number in _ENDS:
        signal.signal(number, _end)
    os.environ[VARIABLE] = node_options(PRELOAD)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sizes = Sizes(**{name: getattr(options, name) for name in Sizes.__dataclass_fields__})
    data = "embedded:photos" if options.data is None else options.data.resolve()
    own_sizes = [*vars(sizes).values(), options.limit]
    rows = read(options.out)
    if not options.table:
        for seed in options.seeds:
            for arm in options.arms:
                row = {"arm": arm, "seed": seed, "sizes": own_sizes}
                _once(rows, row, options.out, lambda: run(sizes, seed, ARMS[arm], data, options.limit))  # noqa: B023
    rows = [row for row in rows if row["sizes"] == own_sizes]
    print("\n".join(table(rows)) if rows else "no result of these sizes yet")


if __name__ == "__main__":
    main()
