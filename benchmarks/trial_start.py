"""What a trial takes beside its training: in a process that imports everything, and forked by the server of trials.

    python benchmarks/trial_start.py --out trial_start.txt

First without NNI's manager: how long a process takes until its first training step, against a bare ``import torch,
nni``, in turns. Then in experiments of NNI, two trials at a time, of the same architectures with ``--no-server`` and
with the server: CPU seconds and seconds of a trial, and trials in a minute, for the trial of config.yml and for one
that trains a step of one patch, which is all but training. Of CPU seconds each counts: those of the process that NNI
starts and, by the server's log, of the forked one; what the server itself takes once is stated beside.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

_REPOSITORY = Path(__file__).resolve().parents[1]
_BARE = "import torch, nni, os; os._exit(0)"
_TRIAL = """
import nni, os, sys
from pathlib import Path
from hnas_nni import Genotype, trial
from hnas_nni.training import step
from hnas_nni.trial.reward import JointReward
step.training_step = lambda *arguments: os._exit(0)
settings = trial.TrialSettings(layers=6, batch=8, patch=48, threads=1)
trial.evaluate(Genotype.random(0, 6), JointReward(), trial.Training(settings, Path(sys.argv[1])))
"""
_ALL_BUT_TRAINING = "--steps 1 --reports 1 --batch 1 --measured-patches 1"


def _seconds(code: str, *arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    return time.perf_counter() - start


@dataclass(frozen=True)
class _Trials:
    """What the trials of an experiment took."""

    cpu: float
    """CPU seconds of a trial, the median."""
    wall: float
    """Seconds of a trial, the median."""
    per_minute: float
    server: str
    """What the server says of itself."""


def _experiment(trials: int, options: str) -> _Trials:
    """Run an experiment of NNI with the trial of config.yml and more options."""
    sys.path.append(str(_REPOSITORY / "tests" / "support"))
    from nni_experiment import start_experiment

    config = yaml.safe_load((_REPOSITORY / "config.yml").read_text(encoding="utf-8"))
    command = re.sub(r"^python\b", sys.executable, config["trialCommand"].strip())
    config |= {
        "searchSpaceFile": str(_REPOSITORY / config["searchSpaceFile"]),
        # Bash's own clock, to the trial's stderr.
        "trialCommand": f"TIMEFORMAT='took %R %U %S'; time {command} {options}",
        "maxTrialNumber": trials,
        # Does not look at results, so that each experiment has the same architectures.
        "tuner": {"name": "Random", "classArgs": {"seed": 0}},
    }
    with tempfile.TemporaryDirectory() as folder:
        experiment = start_experiment(Path(folder), config)
        try:
            experiment.wait()
            jobs = experiment.wait_for_trials(trials)
        finally:
            experiment.stop()
        found = [path.read_text() for path in experiment.directory.glob("environments/*/trials/*/trial.stderr")]
        log = experiment.directory / "log" / "trial_server.log"
        server = log.read_text() if log.exists() else ""
    times = [[float(word) for word in re.findall(r"took (\S+) (\S+) (\S+)", text)[-1]] for text in found]
    forked = [float(seconds) for seconds in re.findall(r"trial \S+ in .* ([\d.]+) CPU seconds", server)]
    if len(forked) not in (0, trials):
        raise RuntimeError(f"{len(forked)} of {trials} trials ran at the server")
    minutes = (max(job["endTime"] for job in jobs) - min(job["startTime"] for job in jobs)) / 60_000
    imported = re.search(r"imported everything in ([\d.]+) CPU seconds", server)
    return _Trials(
        cpu=statistics.median(user + system for _, user, system in times) + statistics.median(forked or [0.0]),
        wall=statistics.median(wall for wall, _, _ in times),
        per_minute=trials / minutes,
        server=f"; the server, once: {imported[1]} CPU s" if imported else "",
    )


def _compare(name: str, trials: int, options: str, out: list[Path]) -> None:
    """Run and report the two experiments."""
    _print(f"{name}, {trials} trials, 2 at a time:", out)
    alone, served = (_experiment(trials, f"{options} {more}".strip()) for more in ("--no-server", ""))
    for what, one in (("--no-server", alone), ("with the server", served)):
        _print(
            f"  {what:16s} {one.cpu:6.2f} CPU s and {one.wall:6.2f} s a trial (medians), "
            f"{one.per_minute:5.1f} trials a minute{one.server}",
            out,
        )
    _print(
        f"  ratio            {alone.cpu / served.cpu:6.2f}       {alone.wall / served.wall:9.2f}"
        f"                      {served.per_minute / alone.per_minute:5.2f}",
        out,
    )


def _print(line: str, out: list[Path]) -> None:
    print(line, flush=True)
    for file in out:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def _processes(rounds: int, out: list[Path]) -> None:
    """Compare a trial's start with its imports alone."""
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "shared_weights.sqlite")
        _seconds(_BARE), _seconds(_TRIAL, weights)  # fill the disk's cache
        pairs = [(_seconds(_BARE), _seconds(_TRIAL, weights)) for _ in range(rounds)]
    bare, trial = (statistics.median(times) for times in zip(*pairs, strict=True))
    _print(f"import torch, nni              {bare:.2f} s", out)
    _print(f"trial to its first step        {trial:.2f} s", out)
    _print(f"ratio (median of {rounds} rounds)     {statistics.median(t / b for b, t in pairs):.2f}", out)


def main() -> None:
    """Measure and print, as soon as something is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each process; 0 leaves them out (default: 7)")
    parser.add_argument("--trials", type=int, default=12, help="of each experiment; 0 leaves them out (default: 12)")
    parser.add_argument("--out", type=Path, action="append", default=[], metavar="FILE", help="add the lines to a file")
    options = parser.parse_args()
    if options.rounds:
        _processes(options.rounds, options.out)
    if options.trials:
        _compare("all but training", options.trials, _ALL_BUT_TRAINING, options.out)
        _compare("the trial of config.yml", options.trials, "", options.out)


if __name__ == "__main__":
    main()
