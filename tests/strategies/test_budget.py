"""What a budget leaves of a space, against the same space counted out in full."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any

import pytest
import torch
from counted_spaces import CountedSpace, efficient_space, paper_space
from hypothesis import given, settings
from hypothesis import strategies as some
from small_spaces import choice

from hnas_nni import Genotype
from hnas_nni.architecture.same_network import network_key
from hnas_nni.cost import Cost, count
from hnas_nni.trial import TrialSettings
from hnas_nni.trial.__main__ import main as trial
from hnas_nni.trial.budget import Budget
from search_spaces import search_space_json
from strategies import HierarchicalRL, HierarchicalTuner
from strategies.agent import SearchAgent
from strategies.budget import AffordableChoices, affordable_choices
from strategies.controller import HierarchicalController
from strategies.exploration import draw_candidates, draw_unseen
from strategies.layout import LayoutError, SpaceLayout
from strategies.search.settings import SearchSettings
from strategies.settings import SMALL_BUDGET, learning_settings

SPACES = {"efficient": efficient_space(), "paper": paper_space()}
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
each_bound = pytest.mark.parametrize(
    "bounds", [{"macs": True}, {"macs": False, "params": True}, {"params": True}], ids=["gmacs", "params", "both"]
)


@pytest.fixture(scope="module")
def tiny() -> CountedSpace:
    """A space so small that every probability in it can be added up."""
    return efficient_space(**{"normal/op_4_0": choice("skip"), "depth": choice(2, 3), "width": choice(8, 20)})


@each_space
def test_the_table_that_spaces_are_counted_out_with_is_right(space: CountedSpace) -> None:
    for choices in list(space.costs)[:: len(space.costs) // 3]:
        genotype = Genotype.from_sample(space.layout.decode(choices))
        assert space.costs[choices] == count(genotype, space.table.scale, space.table.channels, space.table.layers)


@each_space
@each_bound
@pytest.mark.parametrize("share", [0, 0.03, 0.4, 1])
def test_what_is_left_is_exactly_what_fits(space: CountedSpace, bounds: dict[str, bool], share: float) -> None:
    budget = space.budget(share, **bounds)
    expected = space.within(budget)
    if not expected:  # no architecture is the cheapest by both
        with pytest.raises(LayoutError):
            AffordableChoices(space.layout, budget)
        return
    affordable = AffordableChoices(space.layout, budget)
    assert list(affordable.enumerate()) == expected
    every = list(space.costs)
    fits = affordable.contains(space.tensor(every))
    assert [choices for choices, fit in zip(every, fits.tolist(), strict=True) if fit] == expected


@each_space
@each_bound
def test_a_candidate_is_left_if_and_only_if_an_architecture_lies_behind_it(
    space: CountedSpace, bounds: dict[str, bool]
) -> None:
    """For every way to begin that can be afforded."""
    budget = space.budget(0.2, **bounds)
    behind: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for choices in space.within(budget):
        for column, picked in enumerate(choices):
            behind[choices[:column]].add(picked)
    affordable = AffordableChoices(space.layout, budget)
    states = {(): affordable.start(1)}
    for prefix, expected in sorted(behind.items(), key=lambda item: len(item[0])):
        before = [torch.tensor([picked]) for picked in prefix]
        allowed = affordable.allowed(states[prefix], len(prefix), before)[0]
        assert set(torch.nonzero(allowed)[:, 0].tolist()) == expected, prefix
        for picked in expected:
            states[(*prefix, picked)] = affordable.advance(states[prefix], len(prefix), before, torch.tensor([picked]))


@settings(max_examples=20, deadline=None)
@given(share=some.floats(0, 1), params=some.booleans(), seed=some.integers(0, 2**31))
def test_whatever_is_drawn_fits(share: float, params: bool, seed: int) -> None:
    space = SPACES["efficient"]
    budget = space.budget(share, macs=not params, params=params)
    controller = HierarchicalController(space.layout, hidden_size=6, affordable=AffordableChoices(space.layout, budget))
    generator = torch.Generator().manual_seed(seed)
    within = set(space.within(budget))
    drawn = controller.sample(30, generator, flatten=1 + share).choices
    around = drawn[:3]
    unseen = draw_unseen(controller, 5, set(), generator)
    for rows in (drawn, unseen, draw_candidates(controller, 4, set(), generator, around)):
        assert {tuple(row) for row in rows.tolist()} <= within


def test_probabilities_of_what_fits_add_up_to_one(tiny: CountedSpace) -> None:
    within = tiny.within(budget := tiny.budget(0.5))
    controller = HierarchicalController(
        tiny.layout, hidden_size=6, affordable=AffordableChoices(tiny.layout, budget), temperature=0.5
    )
    log_probs = controller.score(tiny.tensor(within)).log_probs.double().sum(1)
    assert float(log_probs.exp().sum().detach()) == pytest.approx(1, abs=1e-5)
    above = [choices for choices in tiny.costs if choices not in set(within)]
    assert above and bool((controller.score(tiny.tensor(above)).log_probs.sum(1) == -math.inf).all())


def test_entropies_are_those_of_what_is_left(tiny: CountedSpace) -> None:
    """By hand: a decision's distribution after a beginning is what the architectures that begin so add up to."""
    within = tiny.within(budget := tiny.budget(0.5))
    controller = HierarchicalController(
        tiny.layout, hidden_size=6, affordable=AffordableChoices(tiny.layout, budget), temperature=0.5
    )
    scored = controller.score(tiny.tensor(within))
    probability: dict[tuple[int, ...], float] = defaultdict(float)
    for choices, log_prob in zip(within, scored.log_probs.double().sum(1).tolist(), strict=True):
        for length in range(len(choices) + 1):
            probability[choices[:length]] += math.exp(log_prob)
    parts: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for prefix, total in probability.items():
        if prefix:
            parts[prefix[:-1]].append(total / probability[prefix[:-1]])
    for choices, entropies in zip(within, scored.entropies.tolist(), strict=True):
        expected = [-sum(p * math.log(p) for p in parts[choices[:column]]) for column in range(len(choices))]
        assert entropies == pytest.approx(expected, abs=1e-4)


def test_gradients_are_finite_and_move_the_policy(tiny: CountedSpace) -> None:
    within = tiny.within(budget := tiny.budget(0.2))
    agent = SearchAgent(tiny.layout, learning_settings({"candidates": 1}, SMALL_BUDGET), hidden_size=6, budget=budget)
    for step in range(5):
        agent.learn(tiny.layout.decode(within[step % len(within)]), float(step))
    weights = list(agent.policy.controller.parameters())
    assert all(bool(weight.isfinite().all()) for weight in weights)
    assert any(weight.grad is not None and bool((weight.grad != 0).any()) for weight in weights)
    assert agent.learn(tiny.layout.decode(next(c for c in tiny.costs if c not in set(within))), 9.0) is None


def test_a_controller_that_learns_under_a_budget_finds_the_best_of_what_fits(tiny: CountedSpace) -> None:
    """The reward is the cost, so that the best stands right below the budget."""
    budget = tiny.budget(0.7)
    agent = SearchAgent(tiny.layout, learning_settings({}, SMALL_BUDGET), hidden_size=8, budget=budget)
    best = max(tiny.costs[choices].gmacs for choices in tiny.within(budget))
    tried = []
    while not agent.repeats and len(tried) < 60:
        (sample,) = agent.propose()
        tried.append(tiny.table(Genotype.from_sample(sample)).gmacs)
        agent.learn(sample, tried[-1])
    assert max(tried) <= best
    assert max(tried) == best


def test_all_that_fit_are_proposed_once_and_then_it_is_told(tiny: CountedSpace) -> None:
    budget = tiny.budget(0.1)
    agent = SearchAgent(tiny.layout, learning_settings({}, SMALL_BUDGET), hidden_size=6, budget=budget)
    networks = {network_key(Genotype.from_sample(tiny.layout.decode(choices))) for choices in tiny.within(budget)}
    assert len(networks) < len(tiny.within(budget))  # some are written in two ways
    proposed = []
    for number in range(len(networks)):
        (sample,) = agent.propose()
        assert not agent.repeats
        proposed.append(network_key(Genotype.from_sample(sample)))
        agent.learn(sample, float(number))
    assert set(proposed) == networks
    agent.propose()
    assert agent.repeats and agent.exhausted


@pytest.mark.parametrize("budget", [None, Budget(gmacs=3.0)], ids=str)
def test_a_position_behind_the_depth_is_never_proposed(budget: Budget | None) -> None:
    """In the whole efficient space, to the last draws of a policy that likes late positions."""
    layout = SpaceLayout.from_search_space(search_space_json(space="efficient"))
    agent = SearchAgent(layout, learning_settings({"learning_rate": 0.05}, SMALL_BUDGET), hidden_size=8, budget=budget)
    positions = []
    for _ in range(25):
        (sample,) = agent.propose()
        assert sample["upsample_position"] <= sample["depth"]
        positions.append(sample["upsample_position"])
        agent.learn(sample, float(sample["upsample_position"] - sample["depth"]))
    drawn = agent.policy.controller.sample(200, torch.Generator().manual_seed(0), flatten=50).choices
    samples = [layout.decode(row) for row in drawn.tolist()]
    assert all(sample["upsample_position"] <= sample["depth"] for sample in samples)
    assert len({sample["depth"] for sample in samples}) > 2


@pytest.mark.parametrize("space", ["paper", "efficient"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_whole_spaces_take_each_bound(space: str, scale: int) -> None:
    """Too large to count out: what is drawn is priced by the profiler of networks."""
    layout = SpaceLayout.from_search_space(search_space_json(6 if space == "paper" else None, space))
    generator = torch.Generator().manual_seed(scale)
    for bounds in ({"gmacs": 3.0}, {"params": 20_000}):
        budget = Budget(**bounds, scale=scale, channels=4, layers=6)
        affordable = AffordableChoices(layout, budget)
        drawn = HierarchicalController(layout, hidden_size=6, affordable=affordable).sample(3, generator).choices
        for row in drawn.tolist():
            cost = count(Genotype.from_sample(layout.decode(row)), scale, 4, 6)
            assert cost.gmacs <= bounds.get("gmacs", math.inf)
            assert cost.params <= bounds.get("params", math.inf)


@pytest.mark.parametrize("bound", ["gmacs", "params"])
def test_a_budget_that_nothing_fits_is_told_with_the_least_that_would(bound: str) -> None:
    space = SPACES["efficient"]
    cheapest = min(cost.macs if bound == "gmacs" else cost.params for cost in space.costs.values())
    said = f"{cheapest / 1e9:.3g} GMAC" if bound == "gmacs" else f"{cheapest:,} parameters"
    too_little = cheapest / 1e9 * 0.99 if bound == "gmacs" else cheapest - 1
    with pytest.raises(LayoutError) as caught:
        AffordableChoices(space.layout, Budget(**{bound: too_little}))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    just_enough = cheapest / 1e9 if bound == "gmacs" else cheapest
    assert AffordableChoices(space.layout, Budget(**{bound: just_enough})).start(1).shape[-1] >= 1


def test_other_spaces_have_no_budget_but_may_decide_a_depth(small_layout: SpaceLayout) -> None:
    with pytest.raises(LayoutError, match="only the spaces of HNASSpace have a cost that is known"):
        AffordableChoices(small_layout, Budget(gmacs=1))
    own = SpaceLayout.from_choices({"a/op": ["conv", "pool"], "depth": [1, 2, 3]})
    assert affordable_choices(own, None) is None
    assert affordable_choices(small_layout, None) is None
    with pytest.raises(ValueError, match=r"^HierarchicalTuner: budget: only the spaces of HNASSpace"):
        HierarchicalTuner(budget=3).update_search_space({"a/op": choice("conv", "pool"), "depth": choice(1, 2)})


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "4", True, [4]], ids=repr)
@pytest.mark.parametrize("name", ["budget", "budget_params"])
@pytest.mark.parametrize(
    "door",
    [HierarchicalTuner, HierarchicalRL, TrialSettings, SearchSettings],
    ids=lambda door: door.__name__,
)
def test_budgets_that_are_none_are_refused_in_a_line(door: Any, name: str, value: object) -> None:
    with pytest.raises(ValueError) as caught:
        door(**{name: value})
    message = str(caught.value)
    assert name in message.replace("-", "_") and repr(value) in message and "give a positive number" in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [0, -1, math.nan, "4"], ids=repr)
def test_a_budget_itself_is_checked(value: Any) -> None:
    for given_as, name in (("gmacs", "budget"), ("params", "budget_params")):
        with pytest.raises(ValueError, match=f"^{name}: .* is not valid; give a positive number"):
            Budget(**{given_as: value})


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_the_trials_command_refuses_them_too(
    value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NNI_PLATFORM", raising=False)
    assert trial(["--genotype", "efficient", f"--budget={value}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hnas trial: error: --budget: ") and "give a positive number of GMAC" in line


def test_a_budget_says_what_it_is() -> None:
    assert str(Budget(4)) == "4 GMAC"
    assert str(Budget(0.5, 20000)) == "0.5 GMAC and 20000 parameters"
    costs = Cost(conv_macs=2 * 10**9, params=300), Cost(conv_macs=8 * 10**9, params=100)
    assert Budget(8).fits(costs[1]) and not Budget(7.999999).fits(costs[1])
    assert [Budget(4, 100).excess(cost) for cost in costs] == [3, 2]
    assert json.dumps(Budget().excess(costs[0])) == "0.0"
