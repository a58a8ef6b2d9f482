"""What a winner is held against: networks at its price, trained as it was, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hnas_nni.cost import count
from hnas_nni.trial import TrialSettings
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.comparators import FILE_NAME, comparators, train_comparators
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.plain_stacks import plain_stacks

SETTINGS = TrialSettings(limit=1, patch=16, batch=1, measured_patches=2, reports=1, threads=1)


def test_they_cost_at_most_what_the_winner_costs() -> None:
    found = dict(comparators(4.0, scale=2))
    assert "plain stack, 7 x 16" in found
    assert any(name.startswith("HNAS-A's cells, C = ") for name in found)
    for genotype in found.values():
        assert count(genotype, 2).gmacs <= 4.0


def test_a_stack_by_hand_is_counted_alike() -> None:
    """Seven 3x3 convolutions of 16 channels between 1 -> 16 and 16 -> 4, over 480x480 pixels."""
    stack = dict(comparators(4.0, scale=2))["plain stack, 7 x 16"]
    weights = 16 * 9 + 7 * 16 * 16 * 9 + 16 * 4 * 9
    assert count(stack, 2).macs == weights * 480 * 480


@pytest.mark.parametrize("budget", [1.0, 4.0, 16.0])
def test_stacks_fill_the_budget(budget: float) -> None:
    stacks = list(plain_stacks(Budget(gmacs=budget)))
    assert stacks
    widths = [stack.width for stack in stacks]
    assert len(set(widths)) == len(widths)
    assert all(0.8 * budget <= count(stack, 2).gmacs <= budget for stack in stacks)


def test_a_small_budget_has_a_stack_too() -> None:
    (stack,) = plain_stacks(Budget(gmacs=0.25))
    assert count(stack, 2).gmacs <= 0.25


def test_each_is_trained_once(tmp_path: Path) -> None:
    told: list[str] = []
    first = train_comparators(0.5, SETTINGS, Stage(1, 2), tmp_path, told.append)
    assert [line.split(" for ")[0] for line in told] == [f"training {entry.name}" for entry in first]
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == len(first)
    assert train_comparators(0.5, SETTINGS, Stage(1, 2), tmp_path, told.append) == first
    assert len(told) == len(first)
    again = train_comparators(0.5, SETTINGS, Stage(1, 3), tmp_path, told.append)
    assert len(told) == 2 * len(first)
    assert [entry.genotype for entry in again] == [entry.genotype for entry in first]
