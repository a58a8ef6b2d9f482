"""The policy gradient is the one in the books, survives a stop, and finds what it is rewarded for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_spaces import every_choice

from strategies.controller import HierarchicalController
from strategies.elite import EliteMemory
from strategies.layout import SpaceLayout
from strategies.policy_gradient import PolicyGradient
from strategies.running_baseline import RunningBaseline
from strategies.settings import SMALL_BUDGET

TINY = SpaceLayout.from_choices(
    {
        "a/input_1_0": [0],
        "a/op_1_0": ["x", "y", "z"],
        "a/input_2_0": [0, 1],
        "b/op": ["p", "q"],
        "position": [1, 2, 3],
    }
)


def make(layout: SpaceLayout = TINY, conditioned: bool = True, hidden_size: int = 8) -> HierarchicalController:
    torch.manual_seed(0)
    return HierarchicalController(layout, hidden_size=hidden_size, conditioned=conditioned).double()


def gradient(controller: HierarchicalController, loss: torch.Tensor) -> torch.Tensor:
    parts = torch.autograd.grad(loss, list(controller.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def finite_difference(controller: HierarchicalController, objective: Callable[[], float], count: int) -> torch.Tensor:
    """Return the central differences of `objective` along `count` random directions, and the directions."""
    generator = torch.Generator().manual_seed(1)
    flat = torch.nn.utils.parameters_to_vector(controller.parameters()).detach().clone()
    rows = []
    for _ in range(count):
        direction = torch.randn(len(flat), dtype=flat.dtype, generator=generator)
        ends = []
        for step in (1e-5, -1e-5):
            torch.nn.utils.vector_to_parameters(flat + step * direction, controller.parameters())
            ends.append(objective())
        torch.nn.utils.vector_to_parameters(flat, controller.parameters())
        rows.append(torch.cat([torch.tensor([(ends[0] - ends[1]) / 2e-5], dtype=flat.dtype), direction]))
    return torch.stack(rows)


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_expected_step_climbs_the_expected_reward_whatever_the_baseline(baseline: float) -> None:
    controller = make()
    learner = PolicyGradient(controller, entropy_weight=0)
    choices = every_choice(TINY)
    rewards = torch.randn(len(choices), dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def expected_reward() -> float:
        with torch.no_grad():
            return float(controller.score(choices).log_probs.sum(1).exp() @ rewards)

    # Weighted by n * pi, the batch mean is the expectation over the policy.
    weights = controller.score(choices).log_probs.sum(1).exp().detach() * len(choices)
    step = -gradient(controller, learner.loss(choices, weights * (rewards - baseline)))
    for row in finite_difference(controller, expected_reward, count=8):
        assert float(step @ row[1:]) == pytest.approx(float(row[0]), rel=1e-5, abs=1e-8)


def test_one_sample_gives_the_textbook_loss_with_both_weights() -> None:
    controller = make()
    learner = PolicyGradient(controller, entropy_weight=0.25, position_weight=10.0)
    choices = every_choice(TINY)[5:6]
    with torch.no_grad():
        scored = controller.score(choices)
        log_prob = scored.log_probs[0, :-1].sum() + 10 * scored.log_probs[0, -1]
        entropy = scored.entropies[0, :-1].sum() + 10 * scored.entropies[0, -1]
    expected = -log_prob * 1.5 - 0.25 * entropy
    assert learner.loss(choices, torch.tensor([1.5])).item() == pytest.approx(expected.item())


def test_the_elite_adds_its_mean_log_probability() -> None:
    controller = make()
    learner = PolicyGradient(controller, entropy_weight=0.0, elite_size=2, elite_weight=0.5)
    choices = every_choice(TINY)
    learner.elite.add(choices[:5], torch.tensor([0.0, 3.0, 1.0, 2.0, -1.0]))
    with torch.no_grad():
        elite = controller.score(choices[[1, 3]]).log_probs.sum(1).mean()
    zero = torch.zeros(1, dtype=torch.float64)
    assert learner.loss(choices[7:8], zero).item() == pytest.approx(-0.5 * elite.item())


def test_baseline_is_the_moving_average_worked_by_hand() -> None:
    baseline = RunningBaseline(0.9)
    assert math.isnan(baseline.mean)
    assert baseline.advantages(torch.tensor([10.0], dtype=torch.float64)).tolist() == [0.0]
    assert baseline.mean == 10
    assert baseline.scale == 1
    # 12 against 10; then 0.9 * 10 + 0.1 * 12.
    assert baseline.advantages(torch.tensor([12.0], dtype=torch.float64)).tolist() == [2.0]
    assert baseline.mean == pytest.approx(10.2)
    assert baseline.scale == 2
    # Deviations -1 and 3 from 10.2 have mean square 5: 0.9 * 4 + 0.1 * 5 = 4.1.
    # Their mean is 11.2: 0.9 * 10.2 + 0.1 * 11.2 = 10.3.
    normalized = baseline.advantages(torch.tensor([9.2, 13.2], dtype=torch.float64), normalize=True)
    assert normalized.tolist() == pytest.approx([-1 / 4.1**0.5, 3 / 4.1**0.5])
    assert baseline.mean == pytest.approx(10.3)


def test_normalized_learning_does_not_depend_on_the_unit_of_the_reward() -> None:
    choices = every_choice(TINY)[::4]
    rewards = torch.linspace(-1, 2, len(choices), dtype=torch.float64).square()
    ends = []
    for unit, offset in ((1.0, 0.0), (1000.0, -37.0)):
        learner = PolicyGradient(make(), **SMALL_BUDGET)
        for first in range(0, len(choices), 2):
            learner.update(choices[first : first + 2], unit * rewards[first : first + 2] + offset)
        ends.append(learner.controller.score(every_choice(TINY)).log_probs.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


def test_rewards_that_are_not_finite_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    choices = every_choice(TINY)[:4]
    whole, holed = (PolicyGradient(make()) for _ in range(2))
    for _ in range(3):
        expected = whole.update(choices[[0, 3]], [1.0, 2.0])
        stats = holed.update(choices, [1.0, math.nan, -math.inf, 2.0])
    assert stats == {**expected, "ignored": 2}
    assert holed.ignored == 6
    assert "2 of 4 rewards are not finite" in caplog.text
    before = holed.controller.score(choices).log_probs
    assert holed.update(choices[:1], [math.nan]) == {"used": 0, "ignored": 1}
    assert torch.equal(holed.controller.score(choices).log_probs, before)
    assert holed.updates == 3


def test_elite_keeps_the_best_once_each_and_the_last_reward_of_a_repeat() -> None:
    elite = EliteMemory(2)
    elite.add(torch.tensor([[0, 0], [0, 1], [1, 1]]), torch.tensor([1.0, 5.0, 3.0]))
    assert elite.choices(torch.zeros(1, 2, dtype=torch.int64)).tolist() == [[0, 1], [1, 1]]
    elite.add(torch.tensor([[0, 1], [2, 2]]), torch.tensor([2.0, 2.5]))
    assert elite.state_dict() == {"choices": [[1, 1], [2, 2]], "rewards": [3.0, 2.5]}
    assert len(EliteMemory(0)) == 0


@pytest.mark.parametrize("settings", [{}, dict(SMALL_BUDGET)], ids=["paper", "small budget"])
def test_continuing_from_a_saved_state_equals_never_having_stopped(settings: dict[str, float], tmp_path: Path) -> None:
    def reward(choices: torch.Tensor) -> torch.Tensor:
        return (choices * torch.arange(5)).sum(1).sin()

    def steps(learner: PolicyGradient, generator: torch.Generator, count: int) -> list[dict[str, float]]:
        stats = []
        for _ in range(count):
            choices = learner.controller.sample(3, generator).choices
            stats.append(learner.update(choices, reward(choices)))
        return stats

    whole = PolicyGradient(make(), **settings)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(9)
    steps(whole, generator, 10)
    torch.save({"learner": whole.state_dict(), "generator": generator.get_state()}, tmp_path / "state.pt")
    expected = steps(whole, generator, 10)

    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.manual_seed(77)
    resumed = PolicyGradient(HierarchicalController(TINY, hidden_size=8).double(), **settings)  # type: ignore[arg-type]
    resumed.load_state_dict(saved["learner"])
    other = torch.Generator()
    other.set_state(saved["generator"])
    assert steps(resumed, other, 10) == expected
    for name, tensor in whole.controller.state_dict().items():
        assert torch.equal(tensor, resumed.controller.state_dict()[name])
    assert resumed.updates == whole.updates == 20


def test_states_of_another_search_are_refused() -> None:
    state = PolicyGradient(make()).state_dict()
    other = SpaceLayout.from_choices({"a/op": ["x", "y"], "position": [1, 2]})
    with pytest.raises(ValueError, match="another search space"):
        PolicyGradient(make(other)).load_state_dict(state)
    with pytest.raises(ValueError, match="hidden_size=8, but this one has 16"):
        PolicyGradient(make(hidden_size=16)).load_state_dict(state)
    with pytest.raises(ValueError, match="conditioned=True, but this one has False"):
        PolicyGradient(make(conditioned=False)).load_state_dict(state)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("entropy_weight", -1.0),
        ("position_weight", math.inf),
        ("baseline_decay", 1.0),
        ("gradient_clip", 0.0),
        ("elite_size", -1),
        ("elite_size", 1.5),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{setting}: {value} is not valid"):
        PolicyGradient(make(), **{setting: value})  # type: ignore[arg-type]


def test_rewards_must_fit_the_architectures() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\) does not fit 3 architectures"):
        PolicyGradient(make()).update(every_choice(TINY)[:3], [1.0, 2.0])


@pytest.mark.slow
@pytest.mark.parametrize("conditioned", [True, False])
def test_only_a_conditioned_position_learns_to_follow_the_cells(conditioned: bool) -> None:
    """Cells stay random; the right position is that of an operation. Blind to it, 1/3 can be right."""
    controller = make(conditioned=conditioned, hidden_size=16)
    learner = PolicyGradient(controller, learning_rate=1e-2, entropy_weight=0.0, normalize_advantage=True)
    generator = torch.Generator().manual_seed(5)
    choices = every_choice(TINY)
    for _ in range(300):
        batch = choices[torch.randint(len(choices), (16,), generator=generator)].clone()
        probabilities = controller.network_probabilities(batch)["position"]
        batch[:, -1] = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        learner.update(batch, (batch[:, 1] == batch[:, -1]).double())
    followed = controller.network_probabilities(choices)["position"].gather(1, choices[:, 1:2]).mean().item()
    assert followed > 0.9 if conditioned else followed == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.slow
def test_finds_an_optimum_whose_position_depends_on_the_cells_far_sooner_than_chance(
    small_layout: SpaceLayout,
) -> None:
    """One of 1,728 is best. Drawing without repetition finds it after 864 on average; ours in a fifth."""
    target = torch.tensor([0, 0, 1, 0, 2, 1])

    def reward(choices: torch.Tensor) -> torch.Tensor:
        cells = (choices[:, :6] == target).sum(1)
        position = (choices[:, 3] + choices[:, 4] + choices[:, 5]) % 6
        return cells - (choices[:, 6] - position).abs() - 0.5 * (choices[:, 7] - 2).abs()

    best = reward(every_choice(small_layout)).max()
    assert (reward(every_choice(small_layout)) == best).sum() == 1
    needed = []
    for seed in range(5):
        torch.manual_seed(seed)
        controller = HierarchicalController(small_layout, hidden_size=32)
        learner = PolicyGradient(controller, **SMALL_BUDGET)
        generator = torch.Generator().manual_seed(seed)
        samples = 0
        while samples < small_layout.size // 2:
            samples += 2
            choices = controller.sample(2, generator).choices
            rewards = reward(choices)
            if (rewards == best).any():
                break
            learner.update(choices, rewards)
        needed.append(samples)
    assert statistics.median(needed) < 173
