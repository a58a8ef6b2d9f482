"""The network of the efficient space, against one written by hand and counters of other libraries."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lively_networks import lively_network
from operation_contract import check_operation
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hnas_nni import Cell, Edge, Genotype
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import CostTable, cost_table, count
from hnas_nni.data import load_pairs
from hnas_nni.inference import NetworkModel, enlarge

MEAN = (0.4488, 0.4371, 0.4040)


def luma(x: torch.Tensor) -> torch.Tensor:
    """Return Y of BT.601, as grey in 0..1, ``(n, 1, h, w)``, less that of DIV2K's mean colour."""
    red, green, blue = (x - torch.tensor(MEAN).view(1, 3, 1, 1)).split(1, dim=1)
    return (65.481 * red + 128.553 * green + 24.966 * blue) / 219


def cell(*edges: tuple[str, int]) -> Cell:
    return Cell(tuple(Edge(*edge) for edge in edges), 1)


PLAIN_STACK = Genotype(
    normal=cell(("conv_3x3", 1), ("conv_3x3", 2), ("conv_3x3", 3)),
    upsampling=cell(("sub_pixel_3x3", 1), ("sub_pixel_3x3", 2)),
    position=3,
    depth=3,
    width=16,
    space=EFFICIENT,
)
"""Two blocks of three convolutions in a row, and the image."""


class Stack(nn.Module):
    """The same by hand: 3x3 convolutions of luma with a PReLU each, pixel shuffle, bicubic of the input."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 16, 3, padding=1), nn.PReLU(16)]
        for _ in range(6):
            layers += [nn.Conv2d(16, 16, 3, padding=1), nn.PReLU(16)]
        self.body = nn.Sequential(*layers, nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(luma(x)) + F.interpolate(x, scale_factor=2, mode="bicubic")


def random_genotypes(number: int, seed: int = 0) -> list[Genotype]:
    rng = random.Random(seed)
    return [Genotype.random(rng, space=EFFICIENT) for _ in range(number)]


def small_genotypes(number: int, seed: int = 0) -> list[Genotype]:
    """Random cells in small networks; the first half of them upsample last."""
    drawn = random_genotypes(number, seed)
    return [
        replace(genotype, position=3 if index < number // 2 else 1 + index % 2, depth=3, width=8)
        for index, genotype in enumerate(drawn)
    ]


def test_a_plain_stack_is_what_is_written_by_hand() -> None:
    torch.manual_seed(0)
    by_hand, network = Stack(), PLAIN_STACK.build(2)
    parameters = list(network.parameters())
    assert [weight.shape for weight in parameters] == [weight.shape for weight in by_hand.parameters()]
    with torch.no_grad():
        for own, theirs in zip(parameters, by_hand.parameters(), strict=True):
            own.copy_(theirs)
    x = torch.rand(2, 3, 9, 11)
    torch.testing.assert_close(network(x), by_hand(x), rtol=0, atol=1e-6)


def test_a_plain_stack_costs_what_is_counted_by_hand() -> None:
    cost = cost_table(2)(PLAIN_STACK)
    weights = 9 * (16 + 6 * 16 * 16 + 16 * 4)
    assert cost.macs == weights * 480 * 480
    assert cost.gmacs == pytest.approx(3.35, abs=0.005)
    assert cost.params == weights + 7 * (16 + 16) + 4 == sum(weight.numel() for weight in Stack().parameters())
    assert cost.deconv_macs == 0


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_cell_computes_what_its_edges_say(scale: int) -> None:
    """Loose ends are added, the upsampling cell reads the stem too, and a tail writes what is not written yet."""
    genotype = Genotype(
        normal=cell(("conv_3x3", 0), ("skip", 1), ("collapsible_3x3", 2)),
        upsampling=cell(("sub_pixel_3x3", 1), ("sub_pixel_1x1", 0)),
        position=2,
        depth=3,
        width=5,
        space=EFFICIENT,
    )
    torch.manual_seed(1)
    network = genotype.build(scale)
    weights = network.state_dict()
    x = torch.rand(1, 3, 5, 6)

    def conv(name: str, y: torch.Tensor) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(y, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def normal(block: int, second_last: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        two = F.prelu(conv(f"blocks.{block}.ops.0.0", second_last), weights[f"blocks.{block}.ops.0.1.weight"])
        four = F.prelu(conv(f"blocks.{block}.ops.2.0", two), weights[f"blocks.{block}.ops.2.1.weight"])
        return last + four

    def shuffled(node: int, y: torch.Tensor) -> torch.Tensor:
        up = F.pixel_shuffle(conv(f"blocks.1.ops.{node}.0", y), scale)
        return F.prelu(up, weights[f"blocks.1.ops.{node}.2.weight"])

    stem = F.prelu(conv("stem.conv", luma(x)), weights["stem.activation.weight"])
    first = normal(0, stem, stem)
    up = shuffled(0, first) + shuffled(1, stem)
    last = normal(2, up, up)
    bicubic = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    torch.testing.assert_close(network(x), conv("tail", last) + bicubic, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_three_counters_agree(scale: int) -> None:
    table = CostTable(scale, lr_size=(8, 10))
    for genotype in random_genotypes(8, seed=scale):
        network = genotype.build(scale)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert network(torch.zeros(1, 3, 8, 10)).shape == (1, 3, 8 * scale, 10 * scale)
        cost = count(genotype, scale, lr_size=(8, 10))
        assert table(genotype) == cost
        assert cost.macs * 2 == counter.get_total_flops()
        assert cost.params == sum(parameter.numel() for parameter in network.parameters())


def test_sizes_that_are_left_open_are_the_tables() -> None:
    genotype = replace(PLAIN_STACK, depth=None, width=None)
    assert CostTable(2, channels=16, layers=3)(genotype) == cost_table(2)(PLAIN_STACK)
    assert CostTable(3, channels=7, layers=5)(genotype) == count(genotype, 3, 7, 5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_architecture_begins_close_to_the_interpolation(scale: int) -> None:
    """By a fraction of the picture's own contrast, but not the same: from nothing at all a network learns nothing."""
    photo = load_pairs("embedded:photos", 2, limit=1)[0].lr[:40, :40]
    low = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    bicubic = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
    torch.manual_seed(0)
    with torch.inference_mode():
        for genotype in small_genotypes(8, seed=scale):
            difference = float((genotype.build(scale)(low) - bicubic).std())
            assert 0 < difference < float(low.std()) / 4


def test_sizes_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="channels: 1 is not valid; the efficient space needs at least 2"):
        replace(PLAIN_STACK, width=1).build(2)
    with pytest.raises(ValueError, match="scale: 5"):
        PLAIN_STACK.build(5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_tiles_equal_the_whole(scale: int) -> None:
    photo = (load_pairs("embedded:photos", 2, limit=1)[0].lr[:61, :53] / 255).astype(np.float32)
    for genotype in small_genotypes(4, seed=scale):
        model = NetworkModel(lively_network(genotype, scale, 3))
        assert model.is_local
        np.testing.assert_allclose(enlarge(photo, model, 13), enlarge(photo, model, None), atol=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for kind in EFFICIENT.cells for name in candidates(EFFICIENT, kind)])
def test_what_holds_for_every_operation(name: str) -> None:
    check_operation(name)


def test_what_is_added_to_the_interpolation_is_grey() -> None:
    """By as much in every colour, and colours that have the luma of another are treated as that one is."""
    network = PLAIN_STACK.build(2)
    x = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    added = network(x) - F.interpolate(x, scale_factor=2, mode="bicubic")
    assert added.abs().max() > 1e-3
    torch.testing.assert_close(added, added.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1), rtol=0, atol=1e-6)
    grey = (luma(x) - luma(torch.zeros(1, 3, 1, 1))).expand(-1, 3, -1, -1)
    of_grey = network(grey) - F.interpolate(grey, scale_factor=2, mode="bicubic")
    torch.testing.assert_close(added, of_grey, rtol=0, atol=1e-5)
