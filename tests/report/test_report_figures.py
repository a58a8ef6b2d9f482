"""Figures of a report: axes that count in whole steps, and no curve that hides another or that can't be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_browser import WIDTHS, ReportPage
from report_runs import write_run

from hnas_nni.report.page import write_report
from hnas_nni.report.page.figures import position_figure, progress_figure, running_best, running_mean
from hnas_nni.report.page.sections import ran_for
from hnas_nni.searches import open_search
from hnas_nni.searches.history import SearchHistory


def _ticks(page: ReportPage, name: str) -> list[str]:
    return page.script(
        "return [...document.querySelectorAll(`[data-figure=${arguments[0]}] g[class^=x][class$=tick] text`)]"
        ".map(e => e.textContent)",
        name,
    )


def test_curves_by_hand() -> None:
    values = [None, 2.0, 1.0, None, 4.0, 3.0]
    assert running_best(values) == [None, 2, 2, 2, 4, 4]
    assert running_mean(values, 2) == [None, 2, 1.5, 1.5, 2.5, 3.5]
    assert [ran_for(seconds) for seconds in (0.2, 59.6, 370, 7260, 200_000)] == [
        "0 s",
        "1 min",
        "6 min 10 s",
        "2 h 1 min",
        "2 d 7 h",
    ]


@pytest.mark.parametrize("epochs", [1, 2, 5, 12, 13, 40])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_ticks_are_whole_steps_and_few_steps_are_seen(
    page: ReportPage, tmp_path: Path, epochs: int, width: int
) -> None:
    write_report(
        open_search(write_run(tmp_path / "run", epochs=epochs, finished=False).path).history(), tmp_path / "it.html"
    )
    page.open(tmp_path / "it.html", width=width)
    for name in ("progress", "entropy", "position"):
        ticks = set(_ticks(page, name))
        assert ticks and all(tick.lstrip("\u2212").isdigit() for tick in ticks)
    drawn = page.script(
        "return [...document.querySelectorAll('[data-figure=entropy] .scatterlayer .trace')].map(trace =>"
        "trace.querySelectorAll('path.point').length || trace.querySelector('path.js-line').getTotalLength())"
    )
    assert len(drawn) == 3 and all(drawn)
    assert page.problems() == []


def _names(history: SearchHistory) -> list[str]:
    return list(dict.fromkeys(trace.name for trace in progress_figure(history).data))


def test_the_best_is_drawn_if_it_differs_from_the_mean(history: SearchHistory) -> None:
    assert _names(history) == ["mean of the epoch", "validation, mean", "validation, best"]
    # One architecture is measured after each epoch.
    same = tuple(replace(step, validation_psnr_best=step.validation_psnr) for step in history.steps)
    assert _names(replace(history, steps=same)) == ["mean of the epoch", "validation, mean"]


def test_rewards_of_different_lambda_have_no_mean_and_no_best(history: SearchHistory) -> None:
    ranking = tuple(replace(entry, reward_weight=0.2 + place) for place, entry in enumerate(history.ranking[:2]))
    panels = {False: 3, True: 2}  # of reward, PSNR and cost
    for family, expected in panels.items():
        of = replace(history, unit="trial", ranking=ranking if family else history.ranking)
        names = [trace.name for trace in progress_figure(of).data]
        assert names.count("mean of the last 10") == expected
        assert names.count("best so far") == (not family)
        assert names.count("each trial") == 3


def test_validation_is_drawn_without_steps_of_the_controller(history: SearchHistory) -> None:
    none: dict[str, Any] = {"reward": None, "psnr": None, "gmacs": None}
    steps = tuple(replace(step, **none) for step in history.steps)
    assert _names(replace(history, steps=steps)) == ["validation, mean", "validation, best"]
    assert progress_figure(replace(history, steps=())) is None


def test_colours_of_positions_mean_the_same_in_every_search(history: SearchHistory) -> None:
    undecided = replace(history.policy, positions=tuple((0.1,) * 5 + (0.12, 0.38) for _ in history.policy.steps))
    for policy in (history.policy, undecided):
        (heatmap,) = position_figure(policy, "epoch").data
        assert (heatmap.zmin, heatmap.zmax) == (0, 1)


def test_trials_stand_at_nnis_numbers(history: SearchHistory) -> None:
    trials = tuple(replace(step, number=number) for number, step in enumerate(history.steps[:6]))
    figure = progress_figure(replace(history, unit="trial", steps=trials))
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4, 5]
    assert {trace.mode for trace in figure.data if trace.name != "each trial"} == {"lines"}  # no points on the trials
    assert figure.layout.xaxis3.title.text == "trial"
    figure = progress_figure(replace(history, unit="trial", steps=trials, step_axis="trial, in some order"))
    assert figure.layout.xaxis3.title.text == "trial, in some order"
