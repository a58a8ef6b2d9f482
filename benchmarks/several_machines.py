"""How the time of a search falls with more machines: a simulation, from the times of a search that was run.

    python benchmarks/several_machines.py ID --machines 1 2 4

Of the experiment, a search by successive halving, come the seconds of each rung's trials and those between a trial's
end and the next one's start; the tuner's seconds for a result and a proposal, and those of a trial's imports, are
measured here. Then the shipped successive halving runs against a clock in place of machines: each trial takes the time
of one of its rung, drawn at random, and the tuner serves one at a time. Machines are taken to be as fast as the one of
the search, with as many trials at a time. What NNI needs to set up its machines is left out; it does not grow with the
search.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hnas_nni.searches import Experiment, find_experiment, read_experiment
from hnas_nni.searches.nni.database import query
from strategies import HierarchicalTuner
from strategies.successive_halving import SuccessiveHalving, read_rungs

REPETITIONS = 200


def simulate(
    rungs: Sequence[Sequence[int]],
    slots: int,
    seconds: Mapping[int, Sequence[float]],
    *,
    overhead: float = 0.0,
    gap: float = 0.0,
    tuner: float = 0.0,
    seed: int = 0,
) -> float:
    """Return how many seconds a search takes.

    Parameters
    ----------
    rungs
        ``[[trials, steps], ...]``.
    slots
        Trials at a time over all machines.
    seconds
        What trials of each stage, counted from 1, took.
    overhead, gap
        Seconds that each trial takes more, and from a trial's end until the tuner hears of it.
    tuner
        Seconds for a result and a proposal, one at a time.
    seed
        Of what is drawn, and of the rewards.
    """
    draw = random.Random(seed)
    halving = SuccessiveHalving(read_rungs("rungs", rungs))
    running: list[tuple[float, int, str]] = []
    idle, now, free, count = slots, 0.0, 0.0, 0
    while not halving.done:
        while idle and (promotion := halving.next()) is not None:
            count += 1
            name = promotion.architecture or f"architecture {count}"
            halving.start(promotion.stage, name)
            free = max(now, free) + tuner
            end = free + overhead + draw.choice(seconds[promotion.stage])
            heapq.heappush(running, (end, promotion.stage, name))
            idle -= 1
        end, stage, name = heapq.heappop(running)
        now = end + gap
        halving.finish(stage, name, draw.random())
        idle += 1
    return now - gap


def trial_seconds(experiment: Experiment) -> dict[int, list[float]]:
    """Return the seconds of the finished trials of each stage."""
    found = defaultdict(list)
    for entry in experiment.finished:
        trial = entry.trial
        if entry.stage and trial and trial.start and trial.end:
            found[entry.stage].append((trial.end - trial.start).total_seconds())
    return dict(found)


def gap_seconds(experiment: Experiment) -> float:
    """Return the median of the seconds between a trial's end and the start of the next one."""
    trials = [trial for trial in experiment.trials if trial.start and trial.end]
    gaps = []
    for trial in trials:
        before = [(trial.start - other.end).total_seconds() for other in trials if other.end <= trial.start]
        if before:
            gaps.append(min(before))
    return statistics.median(gaps)


def tuner_seconds(arguments: Mapping[str, Any], space: Mapping[str, Any], experiment: Experiment) -> float:
    """Return the median of the seconds that the shipped tuner takes for a result and a proposal."""
    tuner = HierarchicalTuner(**arguments)
    tuner.update_search_space(space)
    parameters = tuner.generate_parameters(0)
    taken = []
    for number, entry in enumerate((e for e in experiment.finished if e.stage == 1), start=1):
        start = time.perf_counter()
        tuner.receive_trial_result(number - 1, parameters, {"default": entry.psnr, "psnr": entry.psnr, "gmacs": 1.0})
        tuner.trial_end(number - 1, True)
        proposed = tuner.generate_multiple_parameters([number])
        taken.append(time.perf_counter() - start)
        if not proposed:
            break
        (parameters,) = proposed
    return statistics.median(taken)


def import_seconds() -> float:
    """Return the CPU seconds in which a trial imports what a server of trials has at hand."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "from hnas_nni.trial.server_imports import load; load()"
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="id or folder of a finished search with rungs")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    options = parser.parse_args()
    folder = find_experiment(options.experiment)
    experiment = read_experiment(folder)
    (rows,) = query(Path(folder), "SELECT params FROM ExperimentProfile ORDER BY rowid")
    config = json.loads(rows[-1][0])
    arguments = config["tuner"]["classArgs"]
    if "rungs" not in arguments:
        sys.exit(f"several_machines.py: error: {options.experiment}: is not a search with rungs")
    seconds, gap = trial_seconds(experiment), gap_seconds(experiment)
    tuner, imports = tuner_seconds(arguments, config["searchSpace"], experiment), import_seconds()
    starts = [trial.start for trial in experiment.trials if trial.start]
    ends = [trial.end for trial in experiment.trials if trial.end]
    for stage, found in sorted(seconds.items()):
        print(f"stage {stage}: {len(found)} trials, median {statistics.median(found):.1f} s")
    print(f"between two trials {gap:.2f} s, of these the tuner {tuner:.2f} s; imports {imports:.1f} s")
    print(
        f"the search itself: {(max(ends) - min(starts)).total_seconds():.0f} s, {config['trialConcurrency']} at a time"
    )
    print("| machines | trials at a time | seconds | times as fast |\n|---|---|---|---|")
    first = None
    for machines in options.machines:
        slots = machines * config["trialConcurrency"]
        # One machine runs trials by the local training service, and has a server of trials.
        overhead = imports if machines > 1 else 0.0
        given = {"overhead": overhead, "gap": max(gap - tuner, 0.0), "tuner": tuner}
        times = [simulate(arguments["rungs"], slots, seconds, **given, seed=seed) for seed in range(REPETITIONS)]
        mean = statistics.fmean(times)
        first = first or mean
        print(f"| {machines} | {slots} | {mean:.0f} ({min(times):.0f} ... {max(times):.0f}) | {first / mean:.2f} |")


if __name__ == "__main__":
    main()
