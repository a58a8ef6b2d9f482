"""From ``nnictl create`` to the winner's weights: a whole search as a user runs it, and searches that can't run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from miniature_search import REWARD, SETTINGS, SIZES, TRIALS, final_metrics, miniature_config, policy_history
from nni_experiment import RunExperiment, RunningExperiment
from rounding import same_psnr

from hnas_nni import Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.cost import cost_table
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.network.model_file import load
from hnas_nni.searches import read_experiment
from hnas_nni.training.step import patch_psnr
from hnas_nni.trial.shared_weights import FILE_NAME, SharedWeights

HNAS = Path(sys.executable).with_name("hnas")


def manager_log(experiment: RunningExperiment) -> list[str]:
    """Return the lines of the log that ``nnictl create --foreground`` prints."""
    return (experiment.directory / "log" / "nnimanager.log").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def metrics(hnas_search: RunningExperiment) -> dict[str, dict[str, Any]]:
    """The final metric of each trial, by the trial's id."""
    return final_metrics(hnas_search)


def test_all_trials_succeed_with_the_joint_reward(
    hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]]
) -> None:
    assert [trial["status"] for trial in hnas_search.trials()] == ["SUCCEEDED"] * TRIALS
    assert len(metrics) == TRIALS
    for metric in metrics.values():
        assert set(metric) == {"default", "psnr", "gain", "gmacs", "params", "steps", "genotype"}
        assert metric["default"] == pytest.approx(REWARD.weight * metric["psnr"] - 0.4 * 0.05 * metric["gmacs"])


def test_cost_is_that_of_the_architecture_that_was_measured(metrics: dict[str, dict[str, Any]]) -> None:
    table = cost_table(**SIZES)
    for metric in metrics.values():
        cost = table(Genotype.from_string(metric["genotype"]))
        assert (metric["gmacs"], metric["params"]) == (cost.gmacs, cost.params)


def test_intermediate_results_are_rewards_and_end_in_the_final_one(
    hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]]
) -> None:
    """On one scale: an assessor compares them with each other, and the web UI draws them beside the final ones."""
    for trial, metric in metrics.items():
        reports = [report for report in hnas_search.rest(f"metric-data/{trial}") if report["type"] == "PERIODICAL"]
        results = [json.loads(json.loads(report["data"])) for report in sorted(reports, key=lambda r: r["sequence"])]
        assert len(results) == SETTINGS.reports
        for result in results:
            assert result["default"] == pytest.approx(REWARD(result["psnr"], metric["gmacs"]))
        assert results[-1] == {name: metric[name] for name in ("default", "psnr", "gain", "gmacs", "steps")}
        (read,) = (found for found in read_experiment(hnas_search.directory).trials if found.id == trial)
        assert read.intermediate == tuple(result["psnr"] for result in results)


def test_each_trial_has_a_picture_of_its_architecture_beside_its_logs(
    hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]]
) -> None:
    for trial in read_experiment(hnas_search.directory).trials:
        assert trial.folder is not None
        picture = ElementTree.parse(trial.folder / "cells.svg")
        texts = {"".join(text.itertext()).strip() for text in picture.iter("{http://www.w3.org/2000/svg}text")}
        genotype = Genotype.from_string(metrics[trial.id]["genotype"])
        edges = [edge for _, cell in genotype.cells() for edge in cell.edges]
        assert {OPERATIONS[edge.operation].label for edge in edges} <= texts


def test_trials_share_weights(hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]]) -> None:
    store = SharedWeights(hnas_search.directory / FILE_NAME, **SIZES)
    networks = [Genotype.from_string(metric["genotype"]).build(**SIZES) for metric in metrics.values()]
    found = [store.load_into(network) for network in networks]
    assert min(found) >= 2 + SETTINGS.layers  # at least stem, tail and the blocks' preprocessors
    assert max(found) < len(store) <= sum(found)


def test_the_policy_learns_each_result_once(hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]]) -> None:
    history = policy_history(hnas_search)
    assert [line["result"] for line in history] == list(range(1, TRIALS + 1))
    assert sorted(line["reward"] for line in history) == sorted(metric["default"] for metric in metrics.values())
    for line in history:
        position = line["probabilities"]["upsample_position"]
        assert len(position) == SETTINGS.layers
        assert sum(position) == pytest.approx(1, abs=1e-3)


def test_the_command_hands_over_a_winner_that_is_as_good_as_reported(
    hnas_search: RunningExperiment, metrics: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    genotype_file, weights_file = tmp_path / "best.json", tmp_path / "best.safetensors"
    done = subprocess.run(
        [HNAS, "best", hnas_search.id, "--out", genotype_file, "--weights", weights_file],
        env={**os.environ, "HOME": str(hnas_search.home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    id, best = max(metrics.items(), key=lambda item: item[1]["default"])
    title, _, _, first, *_ = done.stdout.splitlines()
    assert f"experiment {hnas_search.id} ({TRIALS} trials: {TRIALS} succeeded)" in title
    assert f"({id})" in first and f"{best['default']:.4f}" in first and f"{best['psnr']:.3f}" in first
    winner = Genotype.from_string(best["genotype"])
    assert Genotype.from_json(genotype_file) == winner

    network = load(weights_file)
    assert network.genotype == winner
    splits = load_splits(SETTINGS.data, SETTINGS.scale, patch_size=SETTINGS.patch, seed=SETTINGS.seed)
    low, high = fixed_patches(
        splits.validation, SETTINGS.scale, SETTINGS.patch, SETTINGS.measured_patches, SETTINGS.seed
    )
    assert patch_psnr(network, low, high, SETTINGS.scale) == same_psnr(best["psnr"])


def test_a_bad_argument_of_the_tuner_is_named(run_experiment: RunExperiment, tmp_path: Path) -> None:
    with run_experiment(tmp_path, miniature_config(tmp_path, tuner={"lambda": 2})) as experiment:
        experiment.wait("ERROR")
        expected = (
            "Dispatcher error: HierarchicalTuner: classArgs: lambda: 2 is not valid; "
            "give a number from 0 (cost alone) to 1 (PSNR alone)"
        )
        assert sum(line.endswith(expected) for line in manager_log(experiment)) == 1
        assert experiment.trials() == []


def test_a_search_that_cannot_work_ends_with_the_reason(run_experiment: RunExperiment, tmp_path: Path) -> None:
    config = miniature_config(tmp_path, trials=50, options="--data missing_folder")
    with run_experiment(tmp_path, config) as experiment:
        experiment.wait("ERROR")
        expected = (
            "trials failed and none succeeded: hnas trial: error: --data: missing_folder: no such folder; "
            'give a folder of images, or "embedded:photos"'
        )
        errors = [line for line in manager_log(experiment) if line.endswith(expected)]
        assert errors
        assert all("HierarchicalTuner: the first" in line for line in errors)
        statuses = [trial["status"] for trial in experiment.trials()]
        assert "SUCCEEDED" not in statuses
        assert 4 <= statuses.count("FAILED") < 10
