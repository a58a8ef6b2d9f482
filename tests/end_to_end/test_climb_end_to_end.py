"""A search of the efficient space by successive halving, from ``nnictl create`` to the trained network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from miniature_climb import BUDGET, RUNGS, SETTINGS, trial_command
from miniature_search import final_metrics, policy_history
from nni_experiment import RunExperiment, RunningExperiment
from rounding import same_psnr

from hnas_nni import Genotype
from hnas_nni.cost import count
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.network.model_file import load
from hnas_nni.training.step import patch_psnr
from search_spaces.json_file import search_space_path

HNAS = Path(sys.executable).with_name("hnas")


@pytest.fixture(scope="module")
def trials(finished_climb: RunningExperiment) -> list[dict[str, Any]]:
    """Each trial's final metric with the parameters that go with its architecture and stage, in the order of stages."""
    return sorted(final_metrics(finished_climb).values(), key=lambda metric: metric["stage"])


def hnas(experiment: RunningExperiment, *arguments: str) -> str:
    done = subprocess.run(
        [HNAS, *arguments], env={**os.environ, "HOME": str(experiment.home)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_search_climbs_all_rungs_and_ends(finished_climb: RunningExperiment, trials: list[dict[str, Any]]) -> None:
    assert finished_climb.status() == "DONE"
    stages = [metric["stage"] for metric in trials]
    assert [stages.count(stage) for stage in (2, 3)] == [2, 1]
    assert stages.count(1) >= 3
    done = 0
    for stage, (_, steps) in enumerate(RUNGS, start=1):
        done += steps
        assert {metric["steps"] for metric in trials if metric["stage"] == stage} == {done}
    by_stage = {stage: {metric["genotype"] for metric in trials if metric["stage"] == stage} for stage in (1, 2, 3)}
    assert by_stage[3] < by_stage[2] < by_stage[1]
    told = [json.loads(trial["hyperParameters"][0])["parameters"] for trial in finished_climb.trials()]
    assert sorted(parameters["stage"] for parameters in told) == stages
    assert all(parameters["steps"] == RUNGS[parameters["stage"] - 1][1] for parameters in told)


def test_all_are_within_the_budget_and_the_policy_learns_from_the_first_stage(
    finished_climb: RunningExperiment, trials: list[dict[str, Any]]
) -> None:
    for metric in trials:
        cost = count(Genotype.from_string(metric["genotype"]), SETTINGS.scale)
        assert (metric["gmacs"], metric["params"]) == (cost.gmacs, cost.params)
        assert metric["gmacs"] <= BUDGET
        assert metric["default"] == metric["psnr"]
    first = sorted(metric["default"] for metric in trials if metric["stage"] == 1)
    assert sorted(line["reward"] for line in policy_history(finished_climb)) == first


def test_the_terminal_says_what_to_do_next(finished_climb: RunningExperiment, trials: list[dict[str, Any]]) -> None:
    logs = [path.read_text(errors="replace") for path in (finished_climb.directory / "log").glob("*stdout*")]
    lines = [line for log in logs for line in log.splitlines()]
    results = [line for line in lines if "stage " in line and " dB" in line]
    assert len(results) == len(trials)
    (next_step,) = (index for index, line in enumerate(lines) if line.startswith("next:  hnas best"))
    assert results[-1] in lines[:next_step]
    assert f"{trials[-1]['psnr']:.2f} dB" in lines[next_step - 1]


def test_the_winner_is_the_network_of_the_last_stage(
    finished_climb: RunningExperiment, trials: list[dict[str, Any]], tmp_path: Path
) -> None:
    weights = tmp_path / "best.safetensors"
    printed = hnas(finished_climb, "best", finished_climb.id, "--weights", str(weights))
    last = trials[-1]
    network = load(weights)
    assert network.genotype == Genotype.from_string(last["genotype"])
    splits = load_splits("embedded:photos", 2, patch_size=SETTINGS.patch, seed=0, limit=SETTINGS.limit)
    low, high = fixed_patches(splits.validation, 2, SETTINGS.patch, SETTINGS.measured_patches, 0)
    assert patch_psnr(network, low, high, 2) == same_psnr(last["psnr"])
    assert network(torch.rand(1, 3, 10, 12)).shape == (1, 3, 20, 24)
    first = next(line for line in printed.splitlines() if line.strip().startswith("1 "))
    assert f"{last['psnr']:.3f}" in first


def test_show_and_report_read_it(
    finished_climb: RunningExperiment, trials: list[dict[str, Any]], tmp_path: Path
) -> None:
    last = Genotype.from_string(trials[-1]["genotype"])
    shown = hnas(finished_climb, "show", f"{finished_climb.id}:best")
    assert f"C = {last.width}, L = {last.depth}" in shown
    assert f"{trials[-1]['params']:,}" in shown
    document = json.loads(hnas(finished_climb, "show", f"{finished_climb.id}:best", "--json"))
    assert (document["channels"], document["layers"], document["parameters"]) == (
        last.width,
        last.depth,
        trials[-1]["params"],
    )
    page = tmp_path / "report.html"
    printed = hnas(finished_climb, "report", finished_climb.id, "--out", str(page))
    assert "finished" in printed
    assert page.stat().st_size > 10_000


def test_nnis_random_tuner_gets_rewards_below_all_within_for_what_is_above_the_budget(
    run_experiment: RunExperiment, tmp_path: Path
) -> None:
    """It knows nothing of budgets; about half of what it proposes here costs more."""
    config = {
        "searchSpaceFile": str(search_space_path(space="efficient")),
        "trialCommand": trial_command("--budget 12 --steps 2 --lambda 1"),
        "trialConcurrency": 2,
        "maxTrialNumber": 8,
        "tuner": {"name": "Random", "classArgs": {"seed": 2}},
    }
    with run_experiment(tmp_path, config) as experiment:
        experiment.wait("DONE")
        metrics = list(final_metrics(experiment).values())
        assert len(metrics) == 8
        above = [metric for metric in metrics if metric["gmacs"] > 12]
        within = [metric for metric in metrics if metric["gmacs"] <= 12]
        assert above and within
        assert max(metric["default"] for metric in above) < min(metric["default"] for metric in within)
        assert not any("psnr" in metric for metric in above)
        assert all(metric["default"] == metric["psnr"] for metric in within)
        ranked = json.loads(hnas(experiment, "best", experiment.id, "--json", "--top", "20"))["best"]
        assert [entry["psnr"] is None for entry in ranked] == sorted(entry["psnr"] is None for entry in ranked)
        hnas(experiment, "best", experiment.id)
        hnas(experiment, "report", experiment.id, "--out", str(tmp_path / "report.html"))
