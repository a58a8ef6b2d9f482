"""``hnas search --budget`` without C and L searches networks that fill the budget, for PSNR alone."""

from __future__ import annotations

import pytest

from hnas_nni import Genotype
from hnas_nni.cli import make_parser
from hnas_nni.cost import count
from hnas_nni.trial.plain_stacks import plain_stacks
from strategies.search.command import settings_of
from strategies.search.settings import SearchSettings


def settings(*options: str) -> SearchSettings:
    return settings_of(make_parser().parse_args(["search", "--out", "run", *options]))


@pytest.mark.parametrize("gmacs", [1.0, 4.0, 16.0])
def test_a_plain_stack_of_these_sizes_fills_the_budget(gmacs: float) -> None:
    found = settings("--space", "efficient", "--budget", str(gmacs), "--miniature")
    sizes = (found.channels, found.layers)
    stacks: dict[tuple[int | None, int | None], Genotype] = {
        (stack.width, stack.depth): stack for stack in plain_stacks(found.bound())
    }
    assert sizes in stacks
    assert 0.8 * gmacs <= count(stacks[sizes], 2).gmacs <= gmacs
    assert found.layers >= 3
    assert found.reward_lambda == 1


def test_what_is_given_stays() -> None:
    found = settings("--space", "efficient", "--budget", "4", "--channels", "16", "--lambda", "0.9")
    assert (found.channels, found.layers, found.reward_lambda) == (16, 8, 0.9)
    found = settings("--space", "efficient", "--budget", "4", "--channels", "9", "--layers", "5")
    assert (found.channels, found.layers) == (9, 5)


def test_without_a_budget_nothing_is_decided() -> None:
    assert settings("--space", "efficient", "--miniature") == SearchSettings.miniature(space="efficient")
    assert settings("--budget", "20") == SearchSettings(budget=20, reward_lambda=1.0)  # the paper's sizes stay
