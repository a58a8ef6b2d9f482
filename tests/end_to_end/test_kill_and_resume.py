"""A search that is killed without warning goes on with ``nnictl resume`` as if it had not been."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from miniature_search import SIZES, final_metrics, miniature_config, policy_history
from nni_experiment import RunExperiment, RunningExperiment

from hnas_nni import Genotype
from hnas_nni.searches import read_experiment
from hnas_nni.trial.shared_weights import FILE_NAME, SharedWeights
from strategies.tuner_files import STATE_FILE

TRIALS = 4
ADDED = ("lambda", "cost_scale")


def saved_state(folder: Path) -> dict[str, Any]:
    """Read what the tuner saved; it holds tensors and plain data alone."""
    return torch.load(folder / STATE_FILE, weights_only=True)["agent"]


def learnt_results(state: dict[str, Any]) -> Counter[tuple[Genotype, float]]:
    """Return how often each result was learnt: an architecture and its reward."""
    learnt: Counter[tuple[Genotype, float]] = Counter()
    for key, times in state["learnt"].items():
        sample, reward = json.loads(key)
        learnt[Genotype.from_sample(dict(sample)), reward] += times
    return learnt


def reported_results(experiment: RunningExperiment) -> Counter[tuple[Genotype, float]]:
    """Return the same, as the trials reported it; one that was killed after its report has reported twice."""
    reports = [report for report in experiment.rest("metric-data") if report["type"] == "FINAL"]
    metrics = [json.loads(json.loads(report["data"])) for report in reports]
    return Counter((Genotype.from_string(metric["genotype"]), metric["default"]) for metric in metrics)


def check_shared_weights(experiment: RunningExperiment, metrics: dict[str, dict[str, Any]]) -> int:
    """Load every finished trial's units; return how many are stored."""
    store = SharedWeights(experiment.directory / FILE_NAME, **SIZES)
    for metric in metrics.values():
        network = Genotype.from_string(metric["genotype"]).build(**SIZES)
        assert store.load_into(network) >= 2 + SIZES["layers"]
        assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    return len(store)


def test_nothing_that_was_finished_is_lost(run_experiment: RunExperiment, tmp_path: Path) -> None:
    with run_experiment(tmp_path, miniature_config(tmp_path, trials=TRIALS)) as experiment:
        checkpoint = experiment.directory / "checkpoint"
        experiment.wait_for_trials(2)
        experiment.wait_for_trials(1, "RUNNING")
        before = final_metrics(experiment)
        experiment.kill()
        assert not experiment.manager_is_alive()

        # The kill may come between a trial's result and the tuner's learning from it, but not in between learning.
        killed = saved_state(checkpoint)
        finished = {entry.trial.id for entry in read_experiment(experiment.directory).measured}
        assert set(before) <= finished
        assert 1 <= killed["policy"]["updates"] == learnt_results(killed).total() <= len(finished)
        units = check_shared_weights(experiment, before)

        experiment.resume()
        experiment.wait("DONE")
        after = final_metrics(experiment)
        assert len(after) == TRIALS
        assert {id: after.get(id) for id in before} == before

        reported = reported_results(experiment)
        assert reported.total() >= TRIALS
        # NNI calls the experiment done when the last trial is; the tuner may still be learning from it.
        for _ in range(200):
            state = saved_state(checkpoint)
            if learnt_results(state).total() >= reported.total():
                break
            time.sleep(0.3)
        assert learnt_results(state) == reported
        assert state["policy"]["updates"] == policy_history(experiment)[-1]["result"] == reported.total()
        log = (experiment.directory / "log" / "dispatcher.log").read_text()
        assert f"went on from the saved state with {killed['policy']['updates']} results" in log
        assert check_shared_weights(experiment, after) >= units
