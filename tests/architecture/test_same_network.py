"""Which architectures are the same network, against what the networks compute."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import nn

from hnas_nni import HNAS_A, Genotype
from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.architecture.same_network import network_key
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.network.efficient_operations import CollapsibleConv

UPSAMPLING = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 2)), 1)
NORMAL = Cell((Edge("collapsible_3x3", 1), Edge("skip", 2), Edge("skip", 3)), 1)


def computed(genotype: Genotype) -> tuple[float, ...]:
    """What a network gives if each kind of operation has weights of its own, and all of a kind in a block the same.

    Two operations of a kind that read the same then are one, but for their place in a sum.
    """
    network = genotype.build(2)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            torch.manual_seed(module.weight.numel())
            nn.init.normal_(module.weight, std=0.2)
            assert module.bias is not None
            nn.init.normal_(module.bias, std=0.2)
    for module in network.modules():
        if isinstance(module, CollapsibleConv):
            module[0].weight.data.mul_(0.7)
    torch.manual_seed(0)
    with torch.no_grad():
        return tuple(network.double()(torch.rand(1, 3, 4, 4, dtype=torch.float64))[0, :, 0, 0].tolist())


def test_normal_cells_of_one_key_compute_the_same_and_nearly_no_others_do() -> None:
    """All 648 normal cells, in a network with a block that reads two different inputs."""
    by_output: dict[tuple[float, ...], set[Hashable]] = defaultdict(set)
    by_key: dict[Hashable, set[tuple[float, ...]]] = defaultdict(set)
    for sources in itertools.product(range(2), range(3), range(4)):
        for operations in itertools.product(("skip", "conv_3x3", "collapsible_3x3"), repeat=3):
            cell = Cell(tuple(map(Edge, operations, sources)), 1)
            genotype = Genotype(cell, UPSAMPLING, position=3, depth=3, width=4, space=EFFICIENT)
            output = tuple(round(value, 9) for value in computed(genotype))
            by_output[output].add(network_key(genotype))
            by_key[network_key(genotype)].add(output)
    assert max(map(len, by_key.values())) == 1  # the same key, the same network
    assert len(by_key) < 648 / 3  # so many are written in several ways
    # Equal weights make two operations of a kind the same as one that is added twice; training does not. And blocks
    # that hand on one input alone are as good as none.
    ambiguous = [keys for keys in by_output.values() if len({str(_without_numbers(key)) for key in keys}) > 1]
    assert len(ambiguous) <= 6


def _without_numbers(key: Hashable) -> list[str]:
    """The sums of the normal cell, without what tells operations of a kind from each other."""
    assert isinstance(key, tuple)
    return sorted(re.sub(r"#\d", "", term) for term in key[0])


def test_what_reads_an_intermediate_node_of_the_upsampling_cell_makes_no_difference() -> None:
    found = {}
    for last in itertools.product(("sub_pixel_3x3", "sub_pixel_1x1"), (1, 2)):
        upsampling = Cell((Edge("sub_pixel_3x3", 1), Edge(*last)), 1)
        found[last] = Genotype(NORMAL, upsampling, 3, depth=3, width=8, space=EFFICIENT)
    one, other = found["sub_pixel_3x3", 2], found["sub_pixel_1x1", 2]
    assert network_key(one) == network_key(other) and computed(one) == computed(other)
    assert len(set(map(network_key, found.values()))) == 3


def test_two_operations_are_not_one_counted_twice() -> None:
    twice = Cell((Edge("conv_3x3", 1), Edge("skip", 2), Edge("skip", 2)), 1)
    two = Cell((Edge("conv_3x3", 1), Edge("conv_3x3", 1), Edge("skip", 2)), 1)
    keys = {network_key(Genotype(cell, UPSAMPLING, 2, depth=2, width=8, space=EFFICIENT)) for cell in (twice, two)}
    assert len(keys) == 2


def test_sizes_and_position_tell_networks_apart_and_the_papers_are_all_their_own() -> None:
    one = Genotype(NORMAL, UPSAMPLING, 3, depth=3, width=8, space=EFFICIENT)
    assert len({network_key(each) for each in (one, replace(one, depth=4), replace(one, position=2))}) == 3
    assert network_key(replace(one, width=10)) != network_key(one)
    assert network_key(HNAS_A) == str(HNAS_A)
