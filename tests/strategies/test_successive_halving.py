"""Successive halving by itself: who goes on, what failures do, and that it ends with every rung full."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from strategies import HierarchicalTuner
from strategies.successive_halving import Promotion, Rung, SuccessiveHalving, read_rungs

RUNGS = (Rung(4, 10), Rung(2, 20), Rung(1, 50))


def climb(halving: SuccessiveHalving, name: str) -> Promotion:
    """Start what comes next; a new architecture gets that name."""
    promotion = halving.next()
    assert promotion is not None
    halving.start(promotion.stage, promotion.architecture or name)
    return promotion


def test_the_best_go_on_one_after_another() -> None:
    halving = SuccessiveHalving(RUNGS)
    assert halving.trials == 7
    for name, reward in {"a": 1.0, "b": 4.0, "c": 3.0, "d": 2.0}.items():
        assert climb(halving, name) == Promotion(1, 10, None)
        halving.finish(1, name, reward)
    assert climb(halving, "") == Promotion(2, 20, "b")
    halving.finish(2, "b", 5.0)
    assert climb(halving, "") == Promotion(2, 20, "c")
    halving.finish(2, "c", 6.0)
    assert not halving.done
    # By what they were worth in the stage before, not in the first.
    assert climb(halving, "") == Promotion(3, 50, "c")
    assert halving.next() is None and not halving.done
    halving.finish(3, "c", 0.0)
    assert halving.next() is None and halving.done and halving.finished == 7


def test_where_too_few_have_ended_new_ones_are_tried_meanwhile() -> None:
    halving = SuccessiveHalving([Rung(2, 10), Rung(1, 20)])
    assert [climb(halving, name).stage for name in "ab"] == [1, 1]
    assert climb(halving, "c") == Promotion(1, 10, None)
    halving.finish(1, "a", -7.0)
    assert climb(halving, "") == Promotion(2, 20, "a")
    assert halving.next() is None and not halving.done  # b and c run
    for name in "bc":
        halving.finish(1, name, 1.0)
    assert not halving.done
    halving.finish(2, "a", -7.0)
    assert halving.done


def test_the_best_of_the_floor_has_a_place_in_every_rung_of_more_than_one() -> None:
    halving = SuccessiveHalving([Rung(4, 10), Rung(3, 20), Rung(2, 30), Rung(1, 40)], floor=("c", "d"))
    for name, reward in {"a": 4.0, "b": 3.0, "c": 1.0, "d": 2.0}.items():
        climb(halving, name)
        halving.finish(1, name, reward)
    for name, reward in {"a": 4.0, "b": 3.0, "d": 0.0}.items():
        assert climb(halving, "") == Promotion(2, 20, name)
        halving.finish(2, name, reward)
    for name, reward in {"a": 1.0, "d": 0.0}.items():
        assert climb(halving, "") == Promotion(3, 30, name)
        halving.finish(3, name, reward)
    assert climb(halving, "") == Promotion(4, 40, "a")  # a single place goes to the best


def test_another_takes_the_place_of_one_that_fails() -> None:
    halving = SuccessiveHalving(RUNGS)
    for name, reward in zip("abcd", (4.0, 3.0, 2.0, 1.0), strict=True):
        climb(halving, name)
        halving.finish(1, name, reward)
    assert climb(halving, "") == Promotion(2, 20, "a")
    halving.fail(2, "a")
    # It is not tried again, in no stage, and no new one is needed.
    assert [climb(halving, "") for _ in range(2)] == [Promotion(2, 20, "b"), Promotion(2, 20, "c")]
    halving.finish(2, "b", 3.0)
    halving.finish(2, "c", 2.0)
    assert climb(halving, "") == Promotion(3, 50, "b")
    halving.fail(3, "b")
    assert climb(halving, "") == Promotion(3, 50, "c")
    halving.finish(3, "c", 1.0)
    assert halving.done


def test_one_that_was_lost_is_tried_once_more_and_then_counts_as_failed() -> None:
    """After a restart too, which must know of the first time."""
    halving = SuccessiveHalving(RUNGS)
    for name, reward in zip("abcd", (4.0, 3.0, 2.0, 1.0), strict=True):
        climb(halving, name)
        halving.finish(1, name, reward)
    assert climb(halving, "") == Promotion(2, 20, "a")
    halving.lose(2, "a")
    resumed = SuccessiveHalving(RUNGS)
    resumed.load_state_dict(json.loads(json.dumps(halving.state_dict())))
    assert climb(resumed, "") == Promotion(2, 20, "a")
    resumed.lose(2, "a")
    assert [climb(resumed, "") for _ in range(2)] == [Promotion(2, 20, "b"), Promotion(2, 20, "c")]


def test_a_new_one_takes_the_place_of_a_new_one_that_fails() -> None:
    halving = SuccessiveHalving([Rung(1, 10)])
    climb(halving, "a")
    assert halving.next() is None
    halving.fail(1, "a")
    assert not halving.done
    assert climb(halving, "b") == Promotion(1, 10, None)
    halving.finish(1, "b", 0.0)
    assert halving.done


def test_a_space_that_is_tried_to_the_end_leaves_rungs_short() -> None:
    halving = SuccessiveHalving([Rung(9, 10), Rung(3, 20)])
    for name in "ab":
        climb(halving, name)
    halving.exhaust()
    assert halving.next() is None and not halving.done
    halving.finish(1, "a", 1.0)
    assert climb(halving, "") == Promotion(2, 20, "a")
    halving.finish(1, "b", 2.0)
    assert climb(halving, "") == Promotion(2, 20, "b")
    assert halving.next() is None and halving.running == [(2, "a"), (2, "b")]
    halving.finish(2, "a", 1.0)
    halving.fail(2, "b")
    assert halving.done


rungs_of_all_kinds = some.lists(some.tuples(some.integers(1, 6), some.integers(1, 9)), min_size=1, max_size=4).map(
    lambda rungs: tuple(
        Rung(trials, steps)
        for trials, (_, steps) in zip(sorted((trials for trials, _ in rungs), reverse=True), rungs, strict=True)
    )
)


@settings(max_examples=150, deadline=None)
@given(rungs=rungs_of_all_kinds, at_a_time=some.integers(1, 4), data=some.data())
def test_every_search_ends_with_full_rungs(rungs: tuple[Rung, ...], at_a_time: int, data: some.DataObject) -> None:
    """Whatever ends first, fails, or is killed in between; and nobody climbs before having ended below."""
    halving = SuccessiveHalving(rungs)
    rewards: dict[tuple[int, str], float] = {}
    failures = 0
    names = iter(range(10_000))
    started: list[tuple[int, str]] = []
    while not halving.done:
        if data.draw(some.booleans()):
            state = json.loads(json.dumps(halving.state_dict()))
            halving = SuccessiveHalving(rungs)
            halving.load_state_dict(state)
        running = halving.running
        promotion = halving.next() if len(running) < at_a_time else None
        if promotion is not None:
            name = promotion.architecture or str(next(names))
            assert (promotion.stage, name) not in started
            assert promotion.stage == 1 or (promotion.stage - 1, name) in rewards
            assert promotion.steps == rungs[promotion.stage - 1].steps
            halving.start(promotion.stage, name)
            started.append((promotion.stage, name))
            continue
        stage, name = data.draw(some.sampled_from(running))
        if failures < 3 and data.draw(some.booleans()):
            failures += 1
            halving.fail(stage, name)
        else:
            rewards[stage, name] = data.draw(some.floats(-5, 5))
            halving.finish(stage, name, rewards[stage, name])
    ended = [sum(stage == number for stage, _ in rewards) for number in range(1, len(rungs) + 1)]
    assert ended[0] >= rungs[0].trials
    if failures < halving.trials:
        assert ended[1:] == [rung.trials for rung in rungs[1:]]


def test_a_stage_in_which_everything_fails_does_not_go_on_for_ever() -> None:
    halving = SuccessiveHalving([Rung(3, 1), Rung(2, 1)])
    for number in range(100):
        if halving.done:
            break
        promotion = climb(halving, str(number))
        if promotion.stage == 1:
            halving.finish(1, str(number), 0.0)
        else:
            halving.fail(2, str(promotion.architecture))
    assert halving.done and halving.finished <= 3 + halving.trials


def test_a_state_of_other_rungs_is_refused() -> None:
    state = SuccessiveHalving(RUNGS).state_dict()
    for other in (RUNGS[:2], (*RUNGS[:2], Rung(1, 51)), (Rung(5, 10), *RUNGS[1:])):
        with pytest.raises(
            ValueError, match=r"was saved with rungs \[\[4, 10\], \[2, 20\], \[1, 50\]\], not"
        ) as caught:
            SuccessiveHalving(other).load_state_dict(state)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        4,
        "40",
        {},
        [[4]],
        [[4, 10, 2]],
        [4, 10],
        [[2, 10], [3, 20]],
        [[0, 10]],
        [[4, 0]],
        [[4, 1.5]],
        [[True, 10]],
        [["4", 10]],
        [[math.nan, 10]],
    ],
    ids=repr,
)
def test_rungs_that_are_none_are_refused_in_a_line(value: object) -> None:
    with pytest.raises(ValueError, match=r"^rungs: .* is not valid; give ") as caught:
        read_rungs("rungs", value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^HierarchicalTuner: classArgs: rungs: .* is not valid"):
        HierarchicalTuner(rungs=value)


def test_rungs_are_read_as_yaml_gives_them() -> None:
    assert read_rungs("rungs", [[4, 10], [2, 20], [1, 50]]) == RUNGS
    assert read_rungs("rungs", [(3, 1), (3, 2)]) == (Rung(3, 1), Rung(3, 2))
