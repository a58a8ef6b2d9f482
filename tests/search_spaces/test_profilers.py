"""NNI's profilers state the multiply-adds and parameters of every architecture."""

from __future__ import annotations

import pytest
import torch
from nni.mutable import SampleValidationError
from nni.nas.profiler.pytorch.flops import FlopsParamsProfiler, FlopsProfiler, NumParamsProfiler

from hnas_nni import Genotype
from hnas_nni.cost import count
from search_spaces import HNASSpace

LAYERS = 4


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_profilers_agree_with_the_count_on_the_network(scale: int) -> None:
    space = HNASSpace(scale=scale, channels=4, layers=LAYERS)
    x = torch.rand(1, 3, 14, 10)
    flops, parameters = FlopsProfiler(space, x), NumParamsProfiler(space, x)
    for seed in range(8):
        genotype = Genotype.random(seed, layers=LAYERS)
        cost = count(genotype, scale, 4, LAYERS, lr_size=(14, 10))
        assert flops.profile(genotype.to_sample()) == cost.macs
        assert parameters.profile(genotype.to_sample()) == cost.params
        network = space.freeze(genotype.to_sample())
        assert cost.params == sum(parameter.numel() for parameter in network.parameters())


def test_batch_size_and_settings_do_not_count() -> None:
    space = HNASSpace(scale=2, channels=4, layers=LAYERS)
    sample = Genotype.random(3, layers=LAYERS).to_sample()
    one = FlopsParamsProfiler(space, torch.rand(1, 3, 8, 8)).profile(sample)
    many = FlopsParamsProfiler(space, torch.rand(5, 3, 8, 8), count_bias=False).profile(sample)
    assert one == many


def test_expression_knows_the_space() -> None:
    space = HNASSpace(scale=2, channels=4, layers=LAYERS)
    expression = FlopsProfiler(space, torch.rand(1, 3, 8, 8)).expression
    free = {label for label in space.simplify() if label.startswith("normal/input")}  # what reads what costs nothing
    assert set(expression.simplify()) == set(space.simplify()) - free
    with pytest.raises(SampleValidationError):
        expression.freeze({**Genotype.random(3, layers=LAYERS).to_sample(), "upsample_position": LAYERS + 1})


def test_supernets_can_be_profiled() -> None:
    from nni.nas.oneshot.pytorch.profiler import RangeProfilerFilter
    from nni.nas.strategy import RandomOneShot

    space = HNASSpace(scale=2, channels=4, layers=LAYERS)
    profiler = FlopsProfiler(space, torch.rand(1, 3, 8, 8))
    early, late = (
        {**Genotype.random(3, layers=LAYERS).to_sample(), "upsample_position": position} for position in (1, LAYERS)
    )
    assert profiler.profile(late) < profiler.profile(early)
    keep = RangeProfilerFilter(profiler, max=profiler.profile(late))
    assert keep(late)
    assert not keep(early)
    strategy = RandomOneShot(filter=keep)
    supernet = strategy.mutate_model(space)
    assert supernet.contains(late)
    assert profiler.profile(late) == count(Genotype.from_sample(late), 2, 4, LAYERS, lr_size=(8, 8)).macs
