"""Convolutions that train as two and are one: the network computes the same, and what is handed out is plain."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from hnas_nni import Cell, Edge, Genotype, export, load, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import count
from hnas_nni.network.over_parameterised import collapse, expand
from hnas_nni.training.step import Adam, training_step

LAST = Genotype(
    normal=Cell((Edge("collapsible_3x3", 1), Edge("conv_3x3", 0), Edge("collapsible_3x3", 2)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=3,
    depth=3,
    width=6,
    space=EFFICIENT,
)
MIDDLE = replace(LAST, position=2)
BOTH = pytest.mark.parametrize("genotype", [LAST, MIDDLE], ids=["without_tail", "with_tail"])
X = torch.rand(1, 3, 9, 10, generator=torch.Generator().manual_seed(0))


def expanded(genotype: Genotype, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = genotype.build(2)
    expand(network)
    return network


def parametrized(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if parametrize.is_parametrized(module)]


@BOTH
def test_the_function_stays(genotype: Genotype) -> None:
    torch.manual_seed(0)
    network = genotype.build(2)
    plain = {name: weight.clone() for name, weight in network.state_dict().items()}
    expected = network(X)
    expand(network)
    # The stem, the collapsible ones of the normal blocks, and those before the pixel shuffles.
    normal_blocks = [block for block in range(3) if block != genotype.position - 1]
    inside = [f"blocks.{block}.ops.{node}.0" for block in normal_blocks for node in (0, 2)]
    inside += [f"blocks.{genotype.position - 1}.ops.{node}.0" for node in (0, 1)]
    assert sorted(parametrized(network)) == sorted(["stem.conv", *inside])
    torch.testing.assert_close(network(X), expected, rtol=0, atol=1e-5)
    once = list(network.parameters())
    expand(network)
    assert all(one is two for one, two in zip(once, network.parameters(), strict=True))
    collapse(network)
    assert not parametrized(network)
    assert all(type(module).__module__.startswith(("torch.nn.modules", "hnas_nni")) for module in network.modules())
    torch.testing.assert_close(network(X), expected, rtol=0, atol=1e-5)
    assert list(network.state_dict()) == list(plain)
    torch.testing.assert_close(network.state_dict(), plain, rtol=0, atol=1e-6)
    assert count(genotype, 2).params == sum(parameter.numel() for parameter in network.parameters())
    collapse(network)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_it_is_the_product_of_two_convolutions() -> None:
    """After a training, by torch's own convolutions one after the other, with what was left of the start beside."""
    network = expanded(LAST)
    conv = network.blocks[0].ops[0][0]
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        second, first, rest = (getattr(conv.parametrizations.weight, f"original{index}") for index in range(3))
        x = torch.rand(1, 6, 7, 8)
        # Without padding, as the border of the first would be cut off before the second.
        two = F.conv2d(F.conv2d(x, first), second[..., None, None], conv.bias) + F.conv2d(x, rest)
        torch.testing.assert_close(conv(x)[..., 1:-1, 1:-1], two, rtol=0, atol=1e-5)
        assert first.shape == (24, 6, 3, 3) and second.shape == (6, 24)
        expected = conv(x)
        collapse(network)
        torch.testing.assert_close(network.blocks[0].ops[0][0](x), expected, rtol=0, atol=1e-6)


@BOTH
def test_it_learns(genotype: Genotype) -> None:
    network = expanded(genotype)
    high = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    low = F.avg_pool2d(high, 2)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    optimizer = Adam()
    losses = [float(training_step(network, optimizer, low, high, 2e-3)) for _ in range(30)]
    assert losses[-1] < 0.97 * losses[0]
    moved = [name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])]
    assert {name.rpartition(".")[2] for name in moved} >= {"original0", "original1", "bias", "weight"}
    expected = network(X)
    collapse(network)
    torch.testing.assert_close(network(X), expected, rtol=0, atol=1e-5)


@BOTH
def test_a_file_has_the_plain_network_and_the_training_goes_on(genotype: Genotype, tmp_path: Path) -> None:
    network = expanded(genotype)
    expected = network(X)
    names = list(network.state_dict())
    save(network, tmp_path / "it.safetensors")
    save(network, tmp_path / "it.safetensors")
    assert list(network.state_dict()) == names and torch.equal(network(X), expected)
    loaded = load(tmp_path / "it.safetensors")
    assert loaded.genotype == genotype and loaded.genotype.space is EFFICIENT
    assert not parametrized(loaded)
    torch.testing.assert_close(loaded(X), expected, rtol=0, atol=1e-5)
    expand(loaded)
    torch.testing.assert_close(loaded(X), expected, rtol=0, atol=1e-5)


def test_copies_are_on_their_own() -> None:
    """As the averaged network of a training is."""
    network = expanded(LAST)
    expected = network(X)
    copied = copy.deepcopy(network)
    collapse(copied)
    assert parametrized(network) and not parametrized(copied)
    assert torch.equal(network(X), expected)
    network(X).sum().backward()
    torch.testing.assert_close(copied(X), expected, rtol=0, atol=1e-5)
    collapse(network)
    torch.testing.assert_close(network(X), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_export_has_the_plain_network(tmp_path: Path) -> None:
    network = expanded(LAST)
    export(network, tmp_path / "it.pt")
    assert parametrized(network)
    names = {name for name, _ in torch.jit.load(tmp_path / "it.pt").named_parameters()}
    assert names == {name for name, _ in LAST.build(2).named_parameters()}


def test_the_papers_networks_have_nothing_to_expand() -> None:
    network = Genotype.random(0, layers=2).build(2, 2, 2)
    names = list(network.state_dict())
    expand(network)
    assert list(network.state_dict()) == names
