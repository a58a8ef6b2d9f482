"""No controller proposes a network of the efficient space in which a block does nothing."""

from __future__ import annotations

import pytest
import torch
from small_spaces import choice

from hnas_nni import Genotype
from hnas_nni.architecture.same_network import network_key
from hnas_nni.architecture.spaces import EFFICIENT
from search_spaces import search_space_json
from strategies import HierarchicalTuner
from strategies.budget import affordable_choices
from strategies.layout import SpaceLayout
from strategies.search.settings import SearchSettings
from strategies.search.supernet_training import make_supernet
from strategies.settings import PolicySettings
from strategies.supernet_policy import SupernetPolicy

CONVOLUTIONS = ("conv_3x3", "collapsible_3x3")


def every_block_learns(genotype: Genotype) -> bool:
    """Whether the image depends on each weight of the network, by torch's backward pass."""
    torch.manual_seed(0)
    network = genotype.build(2, 8, 3)
    network(torch.rand(1, 3, 6, 6)).square().mean().backward()
    return all(weight.grad is not None and bool(weight.grad.any()) for weight in network.parameters())


def in_full(layout: SpaceLayout) -> list[Genotype]:
    """All normal cells that have a convolution, in a network of three blocks."""
    found = [{}]
    for decision in layout.decisions:
        found = [{**sample, decision.label: value} for sample in found for value in decision.values]
    genotypes = [Genotype.from_sample(sample) for sample in found]
    return [one for one in genotypes if any(edge.operation in CONVOLUTIONS for edge in one.normal.edges)]


@pytest.fixture(scope="module")
def layout() -> SpaceLayout:
    """All normal cells, and one upsampling cell at the end."""
    fixed = {
        "upsampling/input_2_0": choice(1),
        "upsampling/op_2_0": choice("sub_pixel_3x3"),
        "upsampling/input_3_0": choice(2),
        "upsampling/op_3_0": choice("sub_pixel_3x3"),
        "depth": choice(3),
        "width": choice(8),
        "upsample_position": choice(3),
    }
    return SpaceLayout.from_search_space({**search_space_json(space="efficient"), **fixed})


def test_what_is_left_are_the_networks_all_blocks_of_which_learn(layout: SpaceLayout) -> None:
    """None is lost but those that another way to write them stands for."""
    affordable = affordable_choices(layout, None)
    assert affordable is not None
    left = [Genotype.from_sample(layout.decode(choices)) for choices in affordable.enumerate()]
    everything = in_full(layout)
    useful = {network_key(genotype) for genotype in everything if every_block_learns(genotype)}
    assert {network_key(genotype) for genotype in left if genotype in everything} == useful
    assert len(useful) < len({network_key(genotype) for genotype in everything})


@pytest.mark.parametrize("budget", [None, 2.0])
def test_the_tuner_proposes_no_other(budget: float | None) -> None:
    tuner = HierarchicalTuner(budget=budget, seed=1)
    tuner.update_search_space(search_space_json(space="efficient"))
    samples = tuner.generate_multiple_parameters(list(range(12)))
    for sample in samples:
        assert sample["normal/input_2_0"] == sample["upsampling/input_2_0"] == 1


def test_nor_does_a_search_with_shared_weights() -> None:
    """Where depth and width are given, so that not even a position lies behind the last block."""
    settings = SearchSettings.miniature(space=EFFICIENT.name, layers=3, channels=8)
    policy = SupernetPolicy(make_supernet(settings), PolicySettings(), seed=2)
    genotypes = [Genotype.from_sample(architecture.sample) for architecture in policy.draw(40)]
    assert len({str(genotype.upsampling) for genotype in genotypes}) > 2
    for genotype in genotypes:
        assert genotype.normal.edges[0].source == genotype.upsampling.edges[0].source == 1


def test_a_ranking_with_shared_weights_has_each_network_once() -> None:
    settings = SearchSettings.miniature(space=EFFICIENT.name, layers=3, channels=8)
    policy = SupernetPolicy(make_supernet(settings), PolicySettings(), seed=0)
    keys = [network_key(Genotype.from_sample(architecture.sample)) for architecture in policy.draw_distinct(60)]
    assert len(set(keys)) == len(keys) == 60
