"""What each that proposes architectures must do: propose, learn, save, go on, give up."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nni import NoMoreTrialError
from searchers import CHOICES, SEARCHERS, SIZE, Sample, Searcher

from strategies import HierarchicalOneShot, HierarchicalRL, HierarchicalTuner

each = pytest.mark.parametrize("kind", SEARCHERS, ids=lambda kind: kind.__name__)
each_that_remembers = pytest.mark.parametrize(
    "kind", [kind for kind in SEARCHERS if not kind.repeats], ids=lambda kind: kind.__name__
)
each_that_hears_of_failures = pytest.mark.parametrize(
    "kind", [kind for kind in SEARCHERS if kind.fails], ids=lambda kind: kind.__name__
)


def deep(sample: Sample) -> float:
    """A reward for depth."""
    return float(sample["depth"])


def varied(sample: Sample) -> float:
    """A reward that differs between all architectures."""
    return sum((index + 1) * ord(value[0]) / 7 for index, value in enumerate(sample.values()))


@each
def test_proposals_are_architectures_of_the_space(kind: type[Searcher], tmp_path: Path) -> None:
    for sample in kind(tmp_path).search(12, varied):
        assert set(sample) == set(CHOICES)
        assert all(value in CHOICES[label] for label, value in sample.items())


@pytest.mark.slow
@each
def test_seeds_repeat_and_differ(kind: type[Searcher], tmp_path: Path) -> None:
    first, same, other = (
        kind(tmp_path / str(number), seed=seed).search(10, varied) for number, seed in enumerate((1, 1, 2))
    )
    assert first == same
    assert first != other


@each
def test_the_randomness_of_others_is_left_alone(kind: type[Searcher], tmp_path: Path) -> None:
    searcher = kind(tmp_path)
    before = torch.get_rng_state()
    searcher.search(3, varied)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
@each_that_remembers
@pytest.mark.parametrize("candidates", [1, 64])
def test_nothing_comes_twice_until_all_were_tried(kind: type[Searcher], candidates: int, tmp_path: Path) -> None:
    """To the last architecture, under a policy that learns to like one corner; then the search ends or goes on."""
    more = 3
    samples = kind(tmp_path, candidates=candidates).search(SIZE + more, lambda sample: -deep(sample))
    tried = [tuple(sample[label] for label in CHOICES) for sample in samples]
    assert len(tried) == (SIZE if kind.ends else SIZE + more)
    assert len(set(tried[:SIZE])) == SIZE


@pytest.mark.slow
@each
def test_rewards_move_the_policy_towards_what_is_good(kind: type[Searcher], tmp_path: Path) -> None:
    """The other choices have no say in the reward."""
    searchers = [kind(tmp_path / name, learning_rate=0.05, candidates=1) for name in ("deep", "shallow")]
    searchers[0].search(20, deep)
    searchers[1].search(20, lambda sample: -deep(sample))
    liking, disliking = (searcher.probabilities("depth") for searcher in searchers)
    assert liking["5"] > disliking["5"] + 0.1
    assert liking["1"] < disliking["1"] - 0.1


@each
@pytest.mark.parametrize("reward", [math.nan, math.inf], ids=str)
def test_rewards_that_are_not_finite_leave_the_policy_alone(
    kind: type[Searcher], reward: float, tmp_path: Path
) -> None:
    searcher = kind(tmp_path)
    before = searcher.weights()
    searcher.search(3, lambda sample: reward)
    assert searcher.policy.updates == 0
    assert all(torch.equal(before[name], weight) for name, weight in searcher.weights().items())


@each_that_hears_of_failures
def test_failed_trials_leave_the_policy_alone(kind: type[Searcher], tmp_path: Path) -> None:
    searcher = kind(tmp_path)
    before = searcher.weights()
    searcher.search(3, lambda sample: None)
    assert searcher.policy.updates == 0
    assert all(torch.equal(before[name], weight) for name, weight in searcher.weights().items())


@each_that_hears_of_failures
def test_a_search_in_which_everything_fails_ends(kind: type[Searcher], tmp_path: Path) -> None:
    tried: list[Sample] = []
    reason = r"all trials failed|the first 3 trials failed and none succeeded"
    with pytest.raises((RuntimeError, NoMoreTrialError), match=reason):
        kind(tmp_path, give_up_after=3).search(20, tried.append)
    assert len(tried) == 3


@each_that_hears_of_failures
def test_some_failures_do_not_end_a_search(kind: type[Searcher], tmp_path: Path) -> None:
    results = [1.0, *[None] * 5]
    assert len(kind(tmp_path, give_up_after=2).search(6, lambda sample: results.pop(0))) == 6


@pytest.mark.slow
@each
@pytest.mark.parametrize("candidates", [1, 64])
@pytest.mark.parametrize("before", [0, 7])
def test_a_search_goes_on_exactly_where_it_stopped(
    kind: type[Searcher], before: int, candidates: int, tmp_path: Path
) -> None:
    """With so few architectures it must also know which it has tried."""
    whole = kind(tmp_path / "whole", candidates=candidates)
    expected = whole.search(before + 5, varied)
    stopped = kind(tmp_path / "stopped", candidates=candidates)
    assert stopped.search(before, varied) == expected[:before]
    resumed = kind(tmp_path / "resumed", stopped, candidates=candidates)
    assert resumed.policy.updates == before
    assert resumed.search(5, varied) == expected[before:]
    assert all(torch.equal(whole.weights()[name], weight) for name, weight in resumed.weights().items())


@each
def test_the_state_of_another_search_is_refused(kind: type[Searcher], tmp_path: Path) -> None:
    searcher = kind(tmp_path)
    searcher.search(1, varied)
    other = {**CHOICES, "depth": ("1", "2")}
    if kind.keeps_its_space:
        assert len(kind(tmp_path, searcher, other).policy.controller.layout.decisions[-1].values) == 5
    else:
        with pytest.raises(ValueError, match="was saved for another search space"):
            kind(tmp_path, searcher, other)
    with pytest.raises(ValueError, match="its controller has hidden_size=8, but this one has 9"):
        kind(tmp_path, searcher, hidden_size=9)


@pytest.mark.parametrize("kind", [HierarchicalTuner, HierarchicalRL, HierarchicalOneShot])
@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("seed", "one", "an integer"),
        ("hidden_size", 0, "an integer of at least 1"),
        ("candidates", 0, "number of at least 1|integer of at least 1"),
        ("learning_rate", 0, "a positive number"),
        ("entropy_weight", -1, ""),
        ("baseline_decay", 1, ""),
        ("elite_size", 1.5, "an integer"),
        ("normalize_advantage", "yes", "true or false"),
        ("levels", {"cell": {}}, ""),
    ],
)
def test_bad_arguments_are_named(kind: type[Any], name: str, value: object, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: {re.escape(repr(value))} is not valid; give .*(?:{advice})"):
        kind(**{name: value})


@pytest.mark.parametrize("kind", [HierarchicalTuner, HierarchicalRL, HierarchicalOneShot])
def test_unknown_arguments_are_named_with_those_that_there_are(kind: type[Any]) -> None:
    with pytest.raises(ValueError, match=r"lerning_rate:? is unknown; .*learning_rate"):
        kind(lerning_rate=1)
