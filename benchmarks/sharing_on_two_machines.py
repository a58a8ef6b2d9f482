"""What it brings that trials on two machines share their weights: the same trials with and without.

    python benchmarks/sharing_on_two_machines.py --data BSDS500/train --out sharing.jsonl

Each experiment is one of NNI's remote training service, over two sshds on this machine's loopback, each with a home
folder of its own; one trial at a time on each. The architectures are drawn evenly from the paper's space and are the
same, in the same order and with the same batches, in all experiments of a seed, so that what differs are the weights
that a trial starts from: those that both machines share through the server beside the manager; those of a file that
each machine has for itself (``--shared-weights``); or none (``--no-sharing``). Printed are mean and standard deviation
over the seeds; of the gain against no sharing, which compares each architecture with itself, the mean with a 90 %
interval from resampled architectures. Each experiment's result is written at once, and what is in the file is not run
again; ``--table`` prints it. Needs sshd and ssh-keygen, and what the tests need.
"""

from __future__ import annotations

import argparse
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
from search_spaces.compat.loopback import VARIABLE, node_options

_REPOSITORY = Path(__file__).resolve().parents[1]
_PARTS = Path(__file__).resolve().with_name("sharing_on_two_machines_parts")
_RESAMPLES = 2000

ARMS = {
    "shared by both machines": "",
    "each machine its own": '--shared-weights "$HOME/shared_weights.sqlite"',
    "none shared": "--no-sharing",
}
"""Options of the trials by what the table calls them; the last one is what the others are compared with."""
ALONE = "none shared"

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
    seeds = sorted({row["seed"] for row in rows})
    psnr = {(row["arm"], row["seed"]): np.array([trial["psnr"] for trial in row["trials"]]) for row in rows}
    first = [sum(trial["machine"] == 1 for trial in row["trials"]) for row in rows]
    yield f"{len(seeds)} seeds, {count} trials in each experiment, {min(first)} to {max(first)} of them on machine 1\n"
    yield f"| weights | {' | '.join(halves)} | best | CPU s of a trial | seconds |\n|---|---|---|---|---|---|"
    for arm in ARMS:
        own = [row for row in rows if row["arm"] == arm]
        if not own:
            continue
        curves = [psnr[arm, row["seed"]] for row in own]
        values = [_spread([curve[half].mean() for curve in curves]) for half in halves.values()]
        values.append(_spread([curve.max() for curve in curves]))
        values.append(_spread([statistics.fmean(trial["cpu"] for trial in row["trials"]) for row in own], 1))
        values.append(_spread([row["seconds"] for row in own], 0))
        yield f"| {arm} | {' | '.join(values)} |"
    yield f"\n| gain of | {' | '.join(halves)} | better in | best | order of PSNR |\n|---|---|---|---|---|---|"
    for arm in ARMS:
        paired = [seed for seed in seeds if (arm, seed) in psnr and (ALONE, seed) in psnr]
        if arm == ALONE or not paired:
            continue
        gains = np.stack([psnr[arm, seed] - psnr[ALONE, seed] for seed in paired])
        values = [_interval(gains[:, half]) for half in halves.values()]
        values.append(f"{(gains > 0).sum()} of {gains.size}")
        values.append(_spread([psnr[arm, seed].max() - psnr[ALONE, seed].max() for seed in paired], sign="+"))
        orders = [_rank_correlation(psnr[arm, seed], psnr[ALONE, seed]) for seed in paired]
        yield f"| {arm} | {' | '.join(values)} | {' '.join(f'{order:.2f}' for order in orders)} |"
    yield "\nBest trial of each seed, and its PSNR by the trials that share nothing:"
    for (arm, seed), values in psnr.items():
        if (ALONE, seed) in psnr:
            best = int(values.argmax())
            yield f"- seed {seed}, {arm}: trial {best + 1}, {psnr[ALONE, seed][best]:.2f} dB"


def _spread(values: Sequence[float], digits: int = 2, sign: str = "") -> str:
    mean = f"{statistics.fmean(values):{sign}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _interval(gains: np.ndarray) -> str:
    """Return the mean over seeds and architectures with an interval, from resampled architectures of each seed."""
    draw = np.random.default_rng(0)
    means = [
        statistics.fmean(float(own[draw.integers(own.size, size=own.size)].mean()) for own in gains)
        for _ in range(_RESAMPLES)
    ]
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
    # Ended from outside, it ends experiment and machines first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ[VARIABLE] = node_options()
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
