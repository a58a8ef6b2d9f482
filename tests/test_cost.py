"""Multiply-adds and parameters."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Cell, Edge, Genotype, GenotypeError
from hnas_nni.cost import Cost, CostTable, cost_table, count

AUTHORS = {
    "HNAS-A": (HNAS_A, 313.9, 101.9, 974_019),
    "HNAS-B": (HNAS_B, 557.7, 17.0, 2_141_290),
    "HNAS-C": (HNAS_C, 600.3, 135.9, 2_542_545),
}
"""GMAC of convolutions and of transposed convolutions and parameters, counted on the authors' network."""


def _upsampling_cell(genotype: Genotype) -> Cost:
    """Cost of the upsampling cell alone: that of a network with it, less that of one where it costs nothing."""
    free = Cell(tuple(Edge("nearest", edge.source) for edge in genotype.upsampling.edges))
    operations = count(genotype), count(Genotype(genotype.normal, free, genotype.position))
    preprocessors = 2 * 256 * 64 * 480 * 480
    return Cost(
        operations[0].conv_macs - operations[1].conv_macs + preprocessors,
        operations[0].deconv_macs - operations[1].deconv_macs,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", AUTHORS)
def test_published_networks_cost_what_the_authors_network_costs(name: str) -> None:
    """The authors' forward runs the upsampling cell twice; ours once, so one more of it makes the counts equal."""
    genotype, conv, deconv, params = AUTHORS[name]
    ours = count(genotype)
    theirs = ours + _upsampling_cell(genotype)
    assert theirs.conv_macs / 1e9 == pytest.approx(conv, abs=0.1)
    assert theirs.deconv_macs / 1e9 == pytest.approx(deconv, abs=0.1)
    assert ours.params == params


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_count_agrees_with_torchs_own_counter(scale: int) -> None:
    for seed in range(6):
        genotype = Genotype.random(seed, layers=3)
        network = genotype.build(scale, channels=6, layers=3)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, 8, 10))
        assert count(genotype, scale, 6, 3, (8, 10)).macs * 2 == counter.get_total_flops()


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 2**32), min_size=3, max_size=3),
    scale=st.sampled_from([2, 3, 4]),
    channels=st.integers(1, 9),
    layers=st.integers(2, 5),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_table_equals_the_exact_count(seeds, scale, channels, layers, size) -> None:
    table = CostTable(scale, channels, layers, size)
    for genotype in (Genotype.random(seed, layers) for seed in seeds):
        assert table(genotype) == count(genotype, scale, channels, layers, size)


@pytest.mark.slow
def test_table_equals_the_exact_count_at_paper_scale() -> None:
    for genotype in (HNAS_A, HNAS_B, HNAS_C, Genotype.random(1)):
        assert cost_table()(genotype) == count(genotype)


def test_earlier_positions_cost_more() -> None:
    table = cost_table(channels=8)
    costs = [table(Genotype(HNAS_A.normal, HNAS_A.upsampling, position)).macs for position in range(1, 13)]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == 12


def test_counting_leaves_the_network_usable() -> None:
    from hnas_nni.cost import profile

    network = Genotype.random(0, layers=2).build(channels=2, layers=2)
    before = set(network.state_dict())
    profile(network, torch.zeros(1, 3, 4, 4))
    assert set(network.state_dict()) == before
    assert not any(module._forward_hooks for module in network.modules())
    assert isinstance(network, nn.Module)


def test_table_refuses_a_position_behind_its_layers() -> None:
    with pytest.raises(GenotypeError, match="position: 10 lies behind the last of 6 layers"):
        CostTable(layers=6)(HNAS_A)
