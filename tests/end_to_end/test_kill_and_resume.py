"""A search that is killed without warning goes on with ``nnictl resume`` as if it had not been."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest
import torch
from miniature_search import SIZES, final_metrics, miniature_config, policy_history
from nni_experiment import RunExperiment, RunningExperiment

from hnas_nni import Genotype
from hnas_nni.searches import read_experiment
from hnas_nni.trial.shared_weights import FILE_NAME, SharedWeights
from search_spaces import search_space_path
from strategies import HierarchicalTuner
from strategies.tuner import STATE_FILE

TRIALS = 5
ADDED = ("lambda", "cost_scale")


def saved_state(folder: Path) -> dict[str, Any]:
    """Read what the tuner saved; it holds tensors and plain data alone."""
    return torch.load(folder / STATE_FILE, weights_only=True)


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

        state = saved_state(checkpoint)
        reported = reported_results(experiment)
        assert reported.total() >= TRIALS
        assert learnt_results(state) == reported
        assert state["policy"]["updates"] == policy_history(experiment)[-1]["result"] == reported.total()
        log = (experiment.directory / "log" / "dispatcher.log").read_text()
        assert f"{STATE_FILE} with {killed['policy']['updates']} results" in log
        assert check_shared_weights(experiment, after) >= units


def search_space(free: Container[str] | None = None) -> dict[str, Any]:
    """Return the shipped space, or the part of it where only some decisions are left."""
    space = json.loads(search_space_path().read_text(encoding="utf-8"))
    for label, choice in space.items():
        if free is not None and label not in free:
            choice["_value"] = choice["_value"][:1]
    return space


def make_tuner(folder: Path, monkeypatch: pytest.MonkeyPatch, free: Container[str] | None = None) -> HierarchicalTuner:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(folder))
    tuner = HierarchicalTuner(seed=3, **{"lambda": 0.6})
    tuner.update_search_space(search_space(free))
    return tuner


def search_on(tuner: HierarchicalTuner, first: int, number: int) -> list[dict[str, Any]]:
    """Let a tuner propose and learn, with made-up rewards; return its proposals."""
    proposals = []
    for id in range(first, first + number):
        parameters = tuner.generate_parameters(id)
        proposals.append(parameters)
        tuner.receive_trial_result(id, parameters, {"default": random.Random(id).uniform(10, 20)})
        tuner.trial_end(id, True)
    return proposals


@pytest.mark.parametrize("free", [None, ["upsample_position"]], ids=["whole space", "12 positions"])
def test_a_tuner_goes_on_exactly_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: list[str] | None
) -> None:
    """With few architectures it must also know which it has tried, as it draws these anew."""
    stopped, kept = tmp_path / "stopped", tmp_path / "kept"
    never_stopped = make_tuner(kept, monkeypatch, free)
    search_on(never_stopped, 0, 6)
    shutil.copytree(kept, stopped)
    expected = search_on(never_stopped, 6, 5)
    resumed = make_tuner(stopped, monkeypatch, free)
    assert search_on(resumed, 6, 5) == expected
    fresh = make_tuner(tmp_path / "fresh", monkeypatch, free)
    assert search_on(fresh, 6, 5) != expected


def test_results_that_come_back_after_a_resume_are_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NNI hands all finished trials over once more, also one that the tuner had no time to learn from."""
    tuner = make_tuner(tmp_path, monkeypatch)
    proposals = tuner.generate_multiple_parameters([0, 1, 2])
    results = [{"parameter": parameters, "value": {"default": 10.0 + id}} for id, parameters in enumerate(proposals)]
    for id in (0, 1):
        tuner.receive_trial_result(id, proposals[id], results[id]["value"])
    resumed = make_tuner(tmp_path, monkeypatch)
    resumed.import_data(results)
    resumed.import_data(results)
    learnt = learnt_results(saved_state(tmp_path))
    expected = [
        Genotype.from_sample({label: value for label, value in parameters.items() if label not in ADDED})
        for parameters in proposals
    ]
    assert learnt == Counter({(genotype, 10.0 + id): 1 for id, genotype in enumerate(expected)})


def test_a_half_written_file_beside_the_state_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is what a kill leaves behind while the state is being saved."""
    folder, clean = tmp_path / "killed", tmp_path / "clean"
    search_on(make_tuner(folder, monkeypatch), 0, 3)
    shutil.copytree(folder, clean)
    whole = (folder / STATE_FILE).read_bytes()
    (folder / f".{STATE_FILE}.0123abcd").write_bytes(whole[: len(whole) // 2])
    proposals = search_on(make_tuner(folder, monkeypatch), 3, 2)
    assert proposals == search_on(make_tuner(clean, monkeypatch), 3, 2)
    assert saved_state(folder)["policy"]["updates"] == 5
