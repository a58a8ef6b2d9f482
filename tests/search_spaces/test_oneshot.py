"""NNI's one-shot strategies search the whole space, the position of the upsampling cell included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nni.nas import strategy as nni_strategies
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace

from hnas_nni import Genotype
from hnas_nni.network.network import run_blocks
from search_spaces import HNASSpace

CHANNELS = 4
LAYERS = 3
ENAS_SETTINGS = {"batches_per_update": 2, "reward_metric_name": "default"}
STRATEGIES = ["RandomOneShot", "ENAS", "DARTS", "GumbelDARTS", "Proxyless"]
DIFFERENTIABLE = ["DARTS", "GumbelDARTS", "Proxyless"]


def make_strategy(name: str) -> Any:
    return getattr(nni_strategies, name)(**(ENAS_SETTINGS if name == "ENAS" else {}))


def make_supernet(name: str, scale: int = 2, layers: int = LAYERS) -> HNASSpace:
    return make_strategy(name).mutate_model(HNASSpace(scale=scale, channels=CHANNELS, layers=layers))


def take(supernet: HNASSpace, genotype: Genotype) -> None:
    """Make a supernet run one architecture, as NNI's strategies do."""
    from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule

    for module in supernet.modules():
        if isinstance(module, BaseSuperNetModule):
            module.resample(genotype.to_sample())


def run(strategy: Any, evaluator: Any, space: HNASSpace) -> Any:
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    (best,) = strategy.list_models()
    return best


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["RandomOneShot", "Proxyless"])
def test_a_path_of_the_supernet_is_the_network_of_its_genotype(name: str, scale: int) -> None:
    supernet = make_supernet(name, scale)
    x = torch.rand(1, 3, 8, 9)
    for seed in range(4):
        genotype = Genotype.random(seed, layers=LAYERS)
        take(supernet, genotype)
        network = supernet.freeze(genotype.to_sample())
        assert torch.equal(supernet(x), network(x))
        assert network(x).shape == (1, 3, 8 * scale, 9 * scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_supernet_describes_the_same_space(name: str) -> None:
    choices = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS).simplify()
    supernet = make_supernet(name)
    assert {label: list(choice.values) for label, choice in supernet.simplify().items()} == {
        label: list(choice.values) for label, choice in choices.items()
    }
    assert supernet.contains(Genotype.random(0, layers=LAYERS).to_sample())
    assert not supernet.contains(Genotype.random(0, layers=LAYERS).to_sample() | {"upsample_position": 4})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RandomOneShot", "DARTS", "Proxyless"])
def test_weights_of_a_supernet_can_be_saved(name: str) -> None:
    genotype = Genotype.random(1, layers=LAYERS)
    saved = make_supernet(name)
    loaded = make_supernet(name)
    loaded.load_state_dict(saved.state_dict())
    x = torch.rand(1, 3, 8, 8)
    sample = genotype.to_sample()
    assert torch.equal(loaded.freeze(sample)(x), saved.freeze(sample)(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_weight_of_the_position_is_trained(name: str, make_evaluator: Callable[[], Any]) -> None:
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    strategy = make_strategy(name)
    evaluator = make_evaluator()
    seen: list[torch.Tensor] = []
    evaluator.module.on_train_start = lambda: seen.append(space.blocks._arch_alpha.detach().clone())
    best = run(strategy, evaluator, space)
    (start,) = seen
    alpha = space.blocks._arch_alpha.detach()
    assert (alpha != start).all()
    assert best.sample["upsample_position"] == int(alpha.argmax()) + 1
    module = strategy.oneshot_module
    assert any(parameter is space.blocks._arch_alpha for parameter in module.arch_parameters())
    if name != "GumbelDARTS":  # whose probabilities are drawn
        probabilities = module.export_probs()["upsample_position"]
        assert list(probabilities) == [1, 2, 3]
        assert list(probabilities.values()) == pytest.approx(alpha.softmax(0).tolist())


@pytest.mark.slow
@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_differentiable_mix_of_one_position_is_that_position(position: int) -> None:
    blocks = make_supernet("DARTS", layers=4).blocks.double()
    logits = torch.full((4,), -100.0, dtype=torch.float64)
    logits[position - 1] = 100
    blocks._arch_alpha.data = logits
    x = torch.rand(1, 4 * CHANNELS, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(blocks(x), run_blocks(blocks.blocks(position), position, x))


def test_differentiable_mix_of_linear_cells_is_the_mean_over_positions() -> None:
    """With linear cells the mean may be taken anywhere, so it is the mean over all positions' networks."""
    blocks = make_supernet("DARTS", layers=4).blocks

    class Linear(torch.nn.Module):
        def __init__(self, scale: int) -> None:
            super().__init__()
            self.scale = scale
            self.weights = torch.nn.Parameter(torch.randn(2, dtype=torch.float64))

        def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
            mixed = self.weights[0] * states[0] + self.weights[1] * states[1]
            return torch.nn.functional.interpolate(mixed, scale_factor=self.scale)

    blocks.normal = torch.nn.ModuleList(Linear(1) for _ in range(4))
    blocks.upsampling = torch.nn.ModuleList(Linear(2) for _ in range(4))
    blocks._arch_alpha.data = torch.randn(4, dtype=torch.float64)
    x = torch.rand(1, 4 * CHANNELS, 3, 3, dtype=torch.float64)
    weights = blocks._arch_alpha.softmax(0)
    expected = sum(
        weight * run_blocks(blocks.blocks(position), position, x) for position, weight in enumerate(weights, start=1)
    )
    torch.testing.assert_close(blocks(x), expected)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["upsample_position", "normal/op_3_1", "upsampling/input_5_0"])
def test_proxyless_gradient_is_that_of_the_expected_output(label: str) -> None:
    """ProxylessNAS, equation 4: the chain rule over the gates, each with the gradient <output, grad>."""
    supernet = make_supernet("Proxyless").double()
    genotype = Genotype.random(11, layers=LAYERS)
    take(supernet, genotype)
    x = torch.rand(1, 4 * CHANNELS, 5, 5, dtype=torch.float64)
    cell, _, _ = label.rpartition("/")
    index = genotype.position - 1 if cell == "upsampling" else (0 if genotype.position != 1 else 1)
    module = getattr(supernet.blocks, cell)[index] if cell else supernet.blocks
    alpha = module._arch_alpha[label] if cell else module._arch_alpha
    argument = [torch.rand_like(x), x] if cell else x
    choice = supernet.simplify()[label]

    out = module(argument)
    direction = torch.rand_like(out)
    (out * direction).sum().backward()

    gates = []
    for value in choice.values:
        picked = [value] if "/input_" in label else value
        module.resample({**genotype.to_sample(), label: picked})
        gates.append(float((module(argument).detach() * direction).sum()))
    probabilities = alpha.detach().softmax(0)
    gate = torch.tensor(gates, dtype=torch.float64)
    expected = probabilities * (gate - (gate * probabilities).sum())
    torch.testing.assert_close(alpha.grad, expected)


def test_unsampled_supernet_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="resample"):
        make_supernet("RandomOneShot").blocks(torch.rand(1, 4 * CHANNELS, 4, 4))
