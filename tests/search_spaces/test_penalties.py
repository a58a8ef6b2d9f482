"""NNI's penalties and filters bound what one-shot strategies find by its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nni.nas import strategy as nni_strategies
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty, SampleProfilerPenalty
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedCell
from nni.nas.profiler.pytorch.flops import FlopsProfiler, NumParamsProfiler
from nni.nas.space import RawFormatModelSpace

from hnas_nni import Genotype
from hnas_nni.cost import cost_table, count
from search_spaces import HNASSpace
from search_spaces.compat.penalty import supernet_distribution

LAYERS = 3
CHANNELS = 2
IMAGE = torch.zeros(1, 3, 8, 8)


def make_space() -> HNASSpace:
    return HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)


def make_penalised(name: str, space: HNASSpace, profiler: type[Any] = FlopsProfiler, scale: float = 1.0) -> Any:
    penalty = ExpectationProfilerPenalty(profiler(space, IMAGE), baseline=1.0, scale=scale)
    return getattr(nni_strategies, name)(penalty=penalty, arc_learning_rate=0.5)


def settle_on(space: HNASSpace, genotype: Genotype) -> None:
    """Give all the weight of a supernet to one architecture."""
    blocks = space.blocks
    blocks._arch_alpha.data = torch.full((LAYERS,), -50.0)
    blocks._arch_alpha.data[genotype.position - 1] = 50.0
    sample = genotype.to_sample()
    for name in ("normal", "upsampling"):
        cell = getattr(blocks, name)[0]
        for label, alpha in cell._arch_alpha.items():
            alpha.data.fill_(-50.0)
            if label in sample:
                value = sample[label][0] if "/input_" in label else cell.op_names.index(sample[label])
                alpha.data[value] = 50.0
        if isinstance(cell, DifferentiableMixedCell):  # each pair of nodes weighs its operations and, last, none
            for alpha in cell._arch_alpha.values():
                alpha.data[-1] = 50.0
            for node, _, edge in getattr(genotype, name).slots():
                alpha = cell._arch_alpha[f"{name}/{node}_{edge.source}"]
                alpha.data[-1], alpha.data[cell.op_names.index(edge.operation)] = -50.0, 50.0


def two_sources(genotype: Genotype) -> bool:
    """Whether each node reads two different ones, as the cells of DARTS do."""
    edges = [
        (name, node, edge.source)
        for name in ("normal", "upsampling")
        for node, _, edge in getattr(genotype, name).slots()
    ]
    return len(set(edges)) == 16


@pytest.mark.slow
@pytest.mark.parametrize("profiler", [FlopsProfiler, NumParamsProfiler])
@pytest.mark.parametrize("name", ["DARTS", "Proxyless"])
def test_expected_cost_of_a_settled_supernet_is_that_of_its_architecture(name: str, profiler: type[Any]) -> None:
    space = make_space()
    strategy = make_penalised(name, space, profiler)
    strategy.mutate_model(space)
    genotypes = [Genotype.random(seed, LAYERS) for seed in range(400)]
    if name == "DARTS":
        genotypes = list(filter(two_sources, genotypes))
    for genotype in genotypes[:3]:
        settle_on(space, genotype)
        assert space.likeliest_genotype() == genotype or name == "DARTS"  # which may exchange the slots
        cost = count(genotype, 2, CHANNELS, LAYERS, (8, 8))
        expected = cost.macs if profiler is FlopsProfiler else cost.params
        assert float(strategy.penalty.profile({})) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_expected_cost_is_the_mean_over_drawn_architectures() -> None:
    """Proxyless draws each choice by its weights: many draws come to the expectation."""
    torch.manual_seed(0)
    space = make_space()
    strategy = make_penalised("Proxyless", space)
    strategy.mutate_model(space)
    for alpha in {id(alpha): alpha for alpha in strategy._arch_parameters.values()}.values():
        alpha.data = torch.randn_like(alpha)
    cells = [space.blocks.normal[0], space.blocks.upsampling[0]]
    costs = []
    for _ in range(1000):
        sample = space.blocks.resample({})
        for cell in cells:
            sample |= cell.resample({})
        costs.append(cost_table(2, CHANNELS, LAYERS, (8, 8))(Genotype.from_sample(sample)).macs)
    figures = torch.tensor(costs, dtype=torch.float64)
    error = float(figures.std()) / len(costs) ** 0.5
    assert abs(float(strategy.penalty.profile({})) - float(figures.mean())) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DARTS", "GumbelDARTS", "Proxyless"])
def test_probabilities_sum_to_one_and_have_gradients(name: str) -> None:
    space = make_space()
    strategy = make_penalised(name, space)
    strategy.mutate_model(space)
    for table in supernet_distribution(space).values():
        assert float(sum(table.values())) == pytest.approx(1)
    strategy.penalty.profile({}).backward()
    gradient = space.blocks._arch_alpha.grad
    # An early position costs more, so that descent takes weight off it.
    assert gradient[0] > gradient[1] > gradient[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DARTS", "GumbelDARTS", "Proxyless"])
def test_search_with_a_penalty_becomes_cheap(name: str, super_resolution: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    space = make_space()
    strategy = make_penalised(name, space, scale=1.0)
    start: list[float] = []
    steps = {"steps_per_epoch": 4, "architectures_per_epoch": 4}
    evaluator = super_resolution(**steps, batch=1, patch_size=8, measured_patches=1)
    evaluator.module.on_train_start = lambda: start.append(float(strategy.penalty.profile({}).detach()))
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    assert float(strategy.penalty.profile({}).detach()) < 0.9 * start[0]
    assert int(space.blocks._arch_alpha.argmax()) == LAYERS - 1


def test_nni_needs_the_mend(super_resolution: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails NNI's penalty works on cells, and mend_penalty can go."""
    monkeypatch.setattr("search_spaces.supernet.mend_penalty", lambda penalty, space: None)
    space = make_space()
    evaluator = super_resolution(steps_per_epoch=1, batch=1, patch_size=8, measured_patches=1)
    with pytest.raises(KeyError, match="not found in"):
        make_penalised("DARTS", space)(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())


@pytest.mark.slow
def test_enas_takes_the_cost_of_each_sample_off_its_reward(super_resolution: Callable[..., Any]) -> None:
    space = make_space()
    profiler = FlopsProfiler(space, IMAGE)
    penalty = SampleProfilerPenalty(profiler, baseline=1e5, scale=-2.0)
    small = {"batch": 1, "patch_size": 8, "measured_patches": 1}
    evaluator = super_resolution(steps_per_epoch=1, architectures_per_epoch=4, **small)
    strategy = nni_strategies.ENAS(batches_per_update=4, penalty=penalty)
    seen: list[tuple[float, int]] = []
    original = penalty.forward

    def forward(reward: Any, sample: dict[str, Any]) -> Any:
        penalised, details = original(reward, sample)
        seen.append((reward - penalised, count(Genotype.from_sample(sample), 2, CHANNELS, LAYERS, (8, 8)).macs))
        return penalised, details

    penalty.forward = forward
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    assert len(seen) == 4
    for taken_off, macs in seen:
        assert taken_off == pytest.approx(2.0 * (macs / 1e5 - 1), rel=1e-6)


def test_random_one_shot_trains_within_a_filter(super_resolution: Callable[..., Any]) -> None:
    from nni.nas.oneshot.pytorch.profiler import RangeProfilerFilter

    space = make_space()
    table = cost_table(2, CHANNELS, LAYERS, (8, 8))
    bound = sorted(table(Genotype.random(seed, LAYERS)).macs for seed in range(40))[20]
    strategy = nni_strategies.RandomOneShot(filter=RangeProfilerFilter(FlopsProfiler(space, IMAGE), max=bound))
    small = {"batch": 1, "patch_size": 8, "measured_patches": 1}
    evaluator = super_resolution(steps_per_epoch=6, architectures_per_epoch=1, **small)
    run: list[int] = []
    step = evaluator.module.training_step

    def training_step(batch: Any, batch_idx: int) -> Any:
        run.append(table(evaluator.module.model.active_genotype()).macs)
        return step(batch, batch_idx)

    evaluator.module.training_step = training_step
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    assert len(run) == 6
    assert max(run) <= bound
