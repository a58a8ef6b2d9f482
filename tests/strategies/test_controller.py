"""The controller is a proper distribution over architectures, and the position depends on the cells."""

from __future__ import annotations

import pytest
import torch
from small_spaces import every_choice

from hnas_nni.architecture.genotype import Genotype
from strategies.controller import HierarchicalController
from strategies.exploration import draw_unseen
from strategies.layout import LayoutError, SpaceLayout

BOTH = pytest.mark.parametrize("conditioned", [True, False])


def make(
    layout: SpaceLayout, conditioned: bool = True, spread: float = 1.0, **settings: float
) -> HierarchicalController:
    """Return a controller whose weights are large enough for a policy far from uniform."""
    torch.manual_seed(0)
    controller = HierarchicalController(layout, hidden_size=16, conditioned=conditioned, **settings).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.normal_(0, spread)
    return controller


@BOTH
def test_scores_of_sampled_architectures_are_those_they_were_sampled_with(
    hnas_layout: SpaceLayout, conditioned: bool
) -> None:
    controller = make(hnas_layout, conditioned, spread=0.3)
    sampled = controller.sample(32, torch.Generator().manual_seed(1))
    scored = controller.score(sampled.choices)
    torch.testing.assert_close(scored.log_probs, sampled.log_probs)
    torch.testing.assert_close(scored.entropies, sampled.entropies)
    assert len(sampled.choices.unique(dim=0)) > 20


@BOTH
@pytest.mark.parametrize("settings", [{}, {"temperature": 2.0, "tanh_constant": 1.5}])
def test_probabilities_of_all_architectures_sum_to_one(
    small_layout: SpaceLayout, conditioned: bool, settings: dict[str, float]
) -> None:
    controller = make(small_layout, conditioned, **settings)
    choices = every_choice(small_layout)
    assert len(choices) == small_layout.size == 1728
    log_probs = controller.score(choices).log_probs.sum(1).detach()
    assert log_probs.exp().sum().item() == pytest.approx(1)
    assert log_probs.std() > 0.3


@BOTH
def test_expected_entropy_is_that_of_the_distribution(small_layout: SpaceLayout, conditioned: bool) -> None:
    scored = make(small_layout, conditioned).score(every_choice(small_layout))
    log_probs = scored.log_probs.sum(1)
    chain_rule = (log_probs.exp() * scored.entropies.sum(1)).sum().item()
    assert chain_rule == pytest.approx(-(log_probs.exp() * log_probs).sum().item())


def test_samples_follow_the_probabilities(small_layout: SpaceLayout) -> None:
    controller = make(small_layout)
    counts = torch.zeros(small_layout.size, dtype=torch.float64)
    choices = every_choice(small_layout)
    strides = torch.tensor([len(d.values) for d in small_layout.decisions]).flip(0).cumprod(0).flip(0)
    strides = torch.cat([strides[1:], torch.ones(1, dtype=strides.dtype)])
    n = 40_000
    sampled = controller.sample(n, torch.Generator().manual_seed(2)).choices
    counts.index_add_(0, (sampled * strides).sum(1), torch.ones(n, dtype=torch.float64))
    expected = controller.score(choices).log_probs.sum(1).exp().detach() * n
    common = expected > 20
    chi_square = ((counts - expected) ** 2 / expected)[common].sum().item()
    freedom = int(common.sum())
    assert freedom > 50
    assert abs(chi_square - freedom) < 5 * (2 * freedom) ** 0.5


def test_the_position_depends_on_every_decision_of_the_cells_only_when_conditioned(
    hnas_layout: SpaceLayout,
) -> None:
    base = HierarchicalController(hnas_layout).sample(1, torch.Generator().manual_seed(3)).choices
    changed = base.repeat(33, 1)
    for column, decision in enumerate(hnas_layout.decisions[:-1]):
        changed[column + 1, column] = (base[0, column] + 1) % len(decision.values)
    conditioned = make(hnas_layout, spread=0.3).network_probabilities(changed)["upsample_position"]
    assert conditioned.shape == (33, 12)
    distance = (conditioned[1:] - conditioned[0]).abs().sum(1)
    assert (distance > 1e-6).all()
    independent = make(hnas_layout, False, spread=0.3).network_probabilities(changed)["upsample_position"]
    torch.testing.assert_close(independent, independent[:1].expand(33, -1))


def test_cells_do_not_depend_on_each_other_or_on_the_position(hnas_layout: SpaceLayout) -> None:
    controller = make(hnas_layout, spread=0.3)
    first, second = controller.sample(2, torch.Generator().manual_seed(4)).choices
    mixed = torch.cat([first[:16], second[16:]])
    scored = controller.score(torch.stack([first, second, mixed])).log_probs
    torch.testing.assert_close(scored[2, :16], scored[0, :16])
    torch.testing.assert_close(scored[2, 16:32], scored[1, 16:32])


@BOTH
def test_gradient_of_the_position_reaches_the_cells_only_when_conditioned(
    hnas_layout: SpaceLayout, conditioned: bool
) -> None:
    controller = make(hnas_layout, conditioned, spread=0.3)
    choices = controller.sample(4, torch.Generator().manual_seed(5)).choices
    controller.score(choices).by_level()["network"].log_prob.sum().backward()
    reached = {name for name, p in controller.cells.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("0.lstm") for name in reached) == conditioned
    assert any(name.startswith("1.lstm") for name in reached) == conditioned
    assert any("embeddings" in name for name in reached) == conditioned
    # Heads and attention decide the cells; given the cells, the position does not depend on them.
    assert not any("heads" in name or "energy" in name or "query" in name for name in reached)


def test_gradient_of_one_cell_stays_in_it(hnas_layout: SpaceLayout) -> None:
    controller = make(hnas_layout, spread=0.3)
    choices = controller.sample(4, torch.Generator().manual_seed(5)).choices
    controller.score(choices).by_level()["normal"].log_prob.sum().backward()
    reached = {name for name, p in controller.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {name for name, _ in controller.named_parameters() if name.startswith(("cells.0.", "cell_starts.0"))}
    assert reached == expected


def test_sampling_carries_no_gradient_and_scoring_does(small_layout: SpaceLayout) -> None:
    controller = make(small_layout)
    sampled = controller.sample(2)
    assert not sampled.log_probs.requires_grad
    assert controller.score(sampled.choices).log_probs.requires_grad


def test_the_same_generator_state_gives_the_same_architectures(hnas_layout: SpaceLayout) -> None:
    controller = make(hnas_layout, spread=0.1)
    first, second, other = (controller.sample(8, torch.Generator().manual_seed(s)).choices for s in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_fresh_controller_is_close_to_uniform(hnas_layout: SpaceLayout) -> None:
    torch.manual_seed(0)
    controller = HierarchicalController(hnas_layout)
    entropy = controller.sample(16).entropies.sum(1)
    uniform = torch.tensor([float(len(d.values)) for d in hnas_layout.decisions]).log().sum()
    assert (entropy > 0.99 * uniform).all()


def test_genotypes_survive_encoding_and_decoding(hnas_layout: SpaceLayout) -> None:
    controller = make(hnas_layout)
    genotypes = [Genotype.random(seed) for seed in range(8)]
    choices = controller.encode([genotype.to_sample() for genotype in genotypes])
    assert choices.shape == (8, 33)
    assert [Genotype.from_sample(sample) for sample in controller.decode(choices)] == genotypes
    assert controller.encode([]).shape == (0, 33)


def test_levels_add_up_to_the_whole(hnas_layout: SpaceLayout) -> None:
    controller = make(hnas_layout)
    sampled = controller.sample(4)
    levels = sampled.by_level()
    assert list(levels) == ["normal", "upsampling", "network"]
    torch.testing.assert_close(sum(level.log_prob for level in levels.values()), sampled.log_probs.sum(1))
    torch.testing.assert_close(levels["network"].entropy, sampled.entropies[:, -1])


@pytest.mark.parametrize(
    "choices",
    [{"c/x": [1, 2, 3]}, {"x": [1, 2], "y": ["a", "b"]}, {"c/input_1_0": [0], "c/op_1_0": ["a", "b"]}],
    ids=["one cell, no network level", "network level only", "a cell with one node"],
)
def test_spaces_without_all_levels_work(choices: dict[str, list[object]]) -> None:
    layout = SpaceLayout.from_choices(choices)
    controller = make(layout)
    probabilities = controller.score(every_choice(layout)).log_probs.sum(1).exp()
    assert probabilities.sum().item() == pytest.approx(1)
    assert set(controller.decode(controller.sample(3).choices)[0]) == set(choices)


def test_temperature_flattens_and_tanh_bounds(small_layout: SpaceLayout) -> None:
    choices = every_choice(small_layout)
    sharp, flat, bounded = (
        make(small_layout, spread=3.0, **settings).probabilities(choices)["position"]
        for settings in ({}, {"temperature": 100.0}, {"tanh_constant": 1.0})
    )
    assert sharp.max() > 0.9
    assert flat.max() < 0.3
    # Logits in [-1, 1] can't differ by more than 2.
    assert (bounded.max(1).values / bounded.min(1).values).max() <= torch.e**2 + 1e-9


@pytest.mark.parametrize("name", ["hidden_size", "temperature", "tanh_constant"])
def test_settings_out_of_range_are_refused(small_layout: SpaceLayout, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: 0 is not valid"):
        HierarchicalController(small_layout, **{name: 0})  # type: ignore[arg-type]


def test_choices_that_are_none_are_refused(small_layout: SpaceLayout) -> None:
    controller = make(small_layout)
    with pytest.raises(ValueError, match=r"shape \(2, 3\) is not valid; expected \(n, 8\)"):
        controller.score(torch.zeros(2, 3))
    wrong = torch.zeros(1, 8, dtype=torch.int64)
    wrong[0, 6] = 6
    with pytest.raises(LayoutError, match="position: index 6 is out of range"):
        controller.score(wrong)
    with pytest.raises(ValueError, match="n: 0 is not valid"):
        controller.sample(0)


def test_flattened_draws_are_those_of_the_flattened_distribution() -> None:
    """p to the power of 1 / flatten, by hand, on a policy that prefers one value strongly."""
    layout = SpaceLayout.from_choices({"cell/a": [0, 1, 2], "depth": [1, 2]})
    torch.manual_seed(0)
    controller = HierarchicalController(layout, hidden_size=8)
    plain = controller.probabilities(torch.zeros(1, 2, dtype=torch.long))["cell/a"][0].detach()
    expected = plain**0.25 / (plain**0.25).sum()
    drawn = controller.sample(20_000, torch.Generator().manual_seed(0), flatten=4.0)
    frequencies = torch.bincount(drawn.choices[:, 0], minlength=3) / 20_000
    assert torch.allclose(frequencies, expected, atol=0.015)
    assert torch.allclose(drawn.log_probs[:, 0].exp(), expected[drawn.choices[:, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="flatten: 0"):
        controller.sample(1, flatten=0)


def test_unseen_architectures_are_drawn_from_a_policy_that_settled() -> None:
    layout = SpaceLayout.from_choices({f"cell/{name}": [0, 1, 2] for name in "abc"})
    torch.manual_seed(0)
    controller = HierarchicalController(layout, hidden_size=8, temperature=0.02)
    generator = torch.Generator().manual_seed(0)
    settled = {tuple(row) for row in controller.sample(20, generator).choices.tolist()}
    assert len(settled) < 10
    seen = set(settled)
    drawn = [tuple(row) for _ in range(6) for row in draw_unseen(controller, 2, seen, generator).tolist()]
    assert len(set(drawn)) == 12
    assert not settled & set(drawn)
    assert seen == settled | set(drawn)
    everything = {(a, b, c) for a in range(3) for b in range(3) for c in range(3)}
    assert draw_unseen(controller, 2, everything, generator).shape == (2, 3)
