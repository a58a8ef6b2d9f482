"""NNI's web UI in a real browser: what people see of a search, beside what NNI's REST API says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from miniature_search import REWARD, SETTINGS, TRIALS, final_metrics
from nni_experiment import RunningExperiment
from selenium.webdriver import Chrome
from web_ui import Page

from hnas_nni import Genotype


@pytest.fixture
def detail(browser: Chrome, hnas_search: RunningExperiment) -> Page:
    """The page of all trials, with its table filled."""
    page = Page(browser, f"{hnas_search.url}/detail")
    page.wait(lambda: len(page.column("sequenceId")) == TRIALS, "not all trials are listed")
    return page


def shown_metrics(experiment: RunningExperiment) -> dict[str, float]:
    """Return the reward of each trial, by the trial's id."""
    return {id: metric["default"] for id, metric in final_metrics(experiment).items()}


def test_overview_shows_state_and_best_reward(browser: Chrome, hnas_search: RunningExperiment, tmp_path: Path) -> None:
    page = Page(browser, f"{hnas_search.url}/oview")
    best = page.wait(lambda: re.search(r"(\S+)\nBest metric", page.text()), "no best metric")
    assert float(best[1]) == pytest.approx(max(shown_metrics(hnas_search).values()), abs=1e-6)
    text = page.text()
    for expected in ("HNAS in miniature", hnas_search.id, "strategies.HierarchicalTuner", "DONE\nStatus"):
        assert expected in text
    page.save_picture(tmp_path / "overview.png")


def test_every_trial_is_listed_with_its_reward(detail: Page, hnas_search: RunningExperiment, tmp_path: Path) -> None:
    rewards = shown_metrics(hnas_search)
    jobs = {str(job["sequenceId"]): job["trialJobId"] for job in hnas_search.trials()}
    shown = dict(zip(detail.column("sequenceId"), detail.column("latestAccuracy"), strict=True))
    assert set(shown) == set(jobs)
    for number, text in shown.items():
        value, kind = text.split()[:2]
        assert kind.startswith("(FINAL)")
        assert float(value) == pytest.approx(rewards[jobs[number]], abs=1e-6)
    assert set(detail.column("status")) == {"SUCCEEDED"}
    detail.wait(lambda: detail.coloured_pixels("canvas") > 50, "the graph of rewards is empty")
    detail.save_picture(tmp_path / "trials.png")


def test_an_opened_trial_shows_a_readable_architecture(
    detail: Page, hnas_search: RunningExperiment, tmp_path: Path
) -> None:
    detail.click("[data-automation-key=_expand] i")
    detail.wait(lambda: "cost_scale" in detail.text(), "no parameters")
    shown: dict[str, Any] = {}
    for line in detail.text().splitlines():
        if match := re.fullmatch(r"([a-z]\w*(?:/\w+)?):\s*(\S+)", line):
            shown[match[1]] = json.loads(match[2])
    number = detail.column("sequenceId")[0]
    (job,) = [job for job in hnas_search.trials() if str(job["sequenceId"]) == number]
    assert shown == json.loads(job["hyperParameters"][0])["parameters"]
    assert shown["lambda"] == REWARD.weight
    assert isinstance(shown["normal/op_2_0"], str)
    sample = {label: value for label, value in shown.items() if label not in ("lambda", "cost_scale")}
    assert 1 <= Genotype.from_sample(sample).position <= SETTINGS.layers
    detail.save_picture(tmp_path / "trial.png")


def test_intermediate_psnrs_are_drawn(detail: Page, tmp_path: Path) -> None:
    detail.click("[role=tab]", "Intermediate result")
    detail.wait(lambda: "# Intermediate result" in detail.text(), "no graph of intermediate results")
    drawn = detail.wait(lambda: detail.coloured_pixels("canvas"), "the graph of intermediate results is empty")
    detail.save_picture(tmp_path / "intermediate.png")
    assert drawn > TRIALS * 10


def test_parallel_coordinates_have_the_position(detail: Page, tmp_path: Path) -> None:
    detail.click("[role=tab]", "Hyper-parameter")
    detail.wait(lambda: "upsample_position" in detail.texts("svg text"), "no axis of the position")
    labels = detail.texts("svg text")
    for axis in ("normal/op_2_0", "upsampling/input_5_1", "lambda", "psnr", "gmacs"):
        assert axis in labels
    for operation in ("sep_conv_5x5", "deconv"):
        assert operation in labels
    detail.wait(lambda: detail.coloured_pixels("canvas.foreground") > 1000, "no lines between the axes")
    detail.save_picture(tmp_path / "parameters.png")
