"""The receptive field against the network itself: NaN in one LR pixel spreads to exactly what depends on it."""

from __future__ import annotations

import random

import pytest
import torch

from hnas_nni import HNAS_A, HNAS_B, Cell, Edge, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import EFFICIENT, PAPER, Space
from hnas_nni.network.receptive_field import is_local, receptive_radius


def _measured_radius(genotype: Genotype, scale: int, layers: int, limit: int) -> int:
    """How far, in LR pixels, the outputs lie from the one LR pixel that they depend on."""
    network = genotype.build(scale, 1 if genotype.space is PAPER else 4, layers)
    size = 2 * limit + 3
    centre = limit + 1
    images = torch.zeros(1, 3, size, size)
    images[..., centre, centre] = torch.nan
    with torch.inference_mode():
        touched = network(images)[0, 0].isnan().nonzero() // scale
    assert touched.numel() > 0
    return int((touched - centre).abs().max())


def _local_genotype(seed: int, layers: int, space: Space = PAPER) -> Genotype:
    rng = random.Random(seed)
    genotype = Genotype.random(rng, layers, space)
    while not is_local(genotype):
        genotype = Genotype.random(rng, layers, space)
    return genotype


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("space", [PAPER, EFFICIENT], ids=lambda space: space.name)
@pytest.mark.parametrize("seed", range(4))
def test_random_networks(scale: int, space: Space, seed: int) -> None:
    genotype = _local_genotype(seed, layers=3, space=space)
    radius = receptive_radius(genotype, scale, 3)
    measured = _measured_radius(genotype, scale, 3, limit=radius + 2)
    # A transposed convolution may look to one side only.
    assert measured <= radius <= measured + 1


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("cell", "operation"),
    [(row.cell, row.name) for row in OPERATIONS.values() if not row.whole_image],
)
def test_every_operation(scale: int, cell: str, operation: str) -> None:
    space = OPERATIONS[operation].space
    used = _PLAIN[space.name] | {cell: operation}
    cells = {}
    for name, shape in space.shapes.items():
        sources = [source for node in shape.nodes for source in (0, node - 1)[-shape.edges_per_node :]]
        cells[name] = Cell(tuple(Edge(used[name], source) for source in sources), shape.edges_per_node)
    for position in (1, 2):
        genotype = Genotype(position=position, space=space, **cells)
        radius = receptive_radius(genotype, scale, 2)
        measured = _measured_radius(genotype, scale, 2, limit=radius + 2)
        assert measured <= radius <= measured + 1


_PLAIN = {
    "paper": {"normal": "identity", "upsampling": "nearest"},
    "efficient": {"normal": "skip", "upsampling": "sub_pixel_1x1"},
}
"""Operations that look no further, for the other cell."""


def test_the_interpolation_of_the_input_counts_too() -> None:
    """By hand: where the blocks look no further than the stem, bicubic interpolation does, by two pixels."""
    nothing = Cell((Edge("skip", 1), Edge("skip", 2), Edge("skip", 3)), 1)
    up = Cell((Edge("sub_pixel_1x1", 1), Edge("sub_pixel_1x1", 2)), 1)
    assert receptive_radius(Genotype(nothing, up, 3, depth=3, width=4, space=EFFICIENT), 2, 12) == 2
    # The stem, three convolutions in each of two blocks, and the sub-pixel convolution.
    deep = Cell((Edge("conv_3x3", 1), Edge("conv_3x3", 2), Edge("conv_3x3", 3)), 1)
    up = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 2)), 1)
    assert receptive_radius(Genotype(deep, up, 3, depth=3, width=4, space=EFFICIENT), 2, 12) == 1 + 2 * 3 + 1


def test_the_paper_network_without_attention() -> None:
    assert is_local(HNAS_A)
    # By hand: stem 1; 9 blocks of 4, each node 5's sep. conv 3x3 on node 4 (2 + 2) or a 5x5 (4); upsampling 1, its
    # node 5 another half; 2 blocks of 4 at twice the resolution, and the tail's half.
    assert receptive_radius(HNAS_A, 2, 12) == 1 + 9 * 4 + 1 + 2 * 2 + 1


def test_channel_attention_sees_the_whole_image() -> None:
    assert not is_local(HNAS_B)
    images = torch.zeros(1, 3, 60, 60)
    images[..., 59, 59] = torch.nan
    with torch.inference_mode():
        assert HNAS_B.build(2, 1, 12)(images).isnan().all()
