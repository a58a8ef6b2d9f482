"""The simulated time of a search on several machines, against schedules worked by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from repository import REPOSITORY


@pytest.fixture
def simulate() -> Callable[..., float]:
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    try:
        from several_machines import simulate  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(REPOSITORY / "benchmarks"))
    return simulate


RUNGS = [[4, 10], [2, 20], [1, 40]]
SECONDS = {1: [10.0], 2: [20.0], 3: [40.0]}


@pytest.mark.parametrize(("slots", "expected"), [(1, 4 * 10 + 2 * 20 + 40), (4, 10 + 20 + 40), (100, 10 + 20 + 40)])
def test_trials_one_after_another_and_all_at_once(simulate: Callable[..., float], slots: int, expected: float) -> None:
    assert simulate(RUNGS, slots, SECONDS) == pytest.approx(expected)


def test_what_is_added_to_each_trial(simulate: Callable[..., float]) -> None:
    alone = simulate(RUNGS, 1, SECONDS)
    assert simulate(RUNGS, 1, SECONDS, overhead=5.0) == pytest.approx(alone + 7 * 5)
    assert simulate(RUNGS, 1, SECONDS, gap=1.0) == pytest.approx(alone + 6 * 1)  # none after the last
    # One after another the tuner serves the first four, whose trials then run side by side.
    assert simulate([[4, 10]], 4, SECONDS, tuner=2.0) == pytest.approx(4 * 2 + 10)
