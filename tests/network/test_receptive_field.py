"""The receptive field against the network itself: NaN in one LR pixel spreads to exactly what depends on it."""

from __future__ import annotations

import random

import pytest
import torch

from hnas_nni import HNAS_A, HNAS_B, Cell, Edge, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.network.receptive_field import is_local, receptive_radius


def _measured_radius(genotype: Genotype, scale: int, layers: int, limit: int) -> int:
    """How far, in LR pixels, the outputs lie from the one LR pixel that they depend on."""
    network = genotype.build(scale, 1, layers)
    size = 2 * limit + 3
    centre = limit + 1
    images = torch.zeros(1, 3, size, size)
    images[..., centre, centre] = torch.nan
    with torch.inference_mode():
        touched = network(images)[0, 0].isnan().nonzero() // scale
    assert touched.numel() > 0
    return int((touched - centre).abs().max())


def _local_genotype(seed: int, layers: int) -> Genotype:
    rng = random.Random(seed)
    genotype = Genotype.random(rng, layers)
    while not is_local(genotype):
        genotype = Genotype.random(rng, layers)
    return genotype


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_random_networks(scale: int, seed: int) -> None:
    genotype = _local_genotype(seed, layers=3)
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
    plain = {"normal": "identity", "upsampling": "nearest"}
    cells = {}
    for name, filler in plain.items():
        used = operation if name == cell else filler
        cells[name] = Cell(
            tuple(Edge(used, source) for node in PAPER.shapes["normal"].nodes for source in (0, node - 1))
        )
    for position in (1, 2):
        genotype = Genotype(position=position, **cells)
        radius = receptive_radius(genotype, scale, 2)
        measured = _measured_radius(genotype, scale, 2, limit=radius + 2)
        assert measured <= radius <= measured + 1


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
