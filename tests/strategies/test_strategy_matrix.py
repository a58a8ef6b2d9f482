"""One space, every strategy: NNI's and ours search it to the end on photographs and find what is worth building."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nni
import pytest
import torch
from nni.nas import strategy as nni_strategies
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.profiler.pytorch.flops import FlopsProfiler
from nni.nas.space import RawFormatModelSpace, SimplifiedModelSpace

import strategies
from hnas_nni import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.network.network import HNASNetwork
from hnas_nni.training.step import patch_psnr
from hnas_nni.trial.reward import JointReward
from search_spaces import HNASSpace

CHANNELS, LAYERS, TRIALS = 4, 2, 4
REWARD = JointReward(0.2, 5.0)
"""Mostly the cost, of which a search of seconds can learn something."""

MULTI_TRIAL = {
    "Random": {},
    "GridSearch": {},
    "RegularizedEvolution": {"population_size": 2, "sample_size": 2},
    "TPE": {},
    "PolicyBasedRL": {"samples_per_update": 2, "update_kwargs": {"batch_size": 32, "repeat": 1, "update_times": 1}},
    "HierarchicalRL": {},
}
"""All run without arguments; these let them learn within few trials."""

ONE_SHOT = {
    "RandomOneShot": {},
    "ENAS": {"batches_per_update": 2, "update_kwargs": {"batch_size": 32, "repeat": 1, "update_times": 1}},
    "DARTS": {"arc_learning_rate": 0.1},
    "GumbelDARTS": {"arc_learning_rate": 0.1},
    "Proxyless": {"arc_learning_rate": 0.1},
    "HierarchicalOneShot": {"candidates": 4},
}
DIFFERENTIABLE = ("DARTS", "GumbelDARTS", "Proxyless")


def make_strategy(name: str, **arguments: Any) -> Any:
    ours = name.startswith("Hierarchical")
    return getattr(strategies if ours else nni_strategies, name)(**arguments)


def make_space() -> HNASSpace:
    return HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)


def check_builds(network: Any, genotype: Genotype) -> None:
    assert type(network) is HNASNetwork
    assert network.genotype == genotype
    assert network(torch.rand(1, 3, 8, 9)).shape == (1, 3, 16, 18)


@pytest.mark.slow
@pytest.mark.parametrize("name", MULTI_TRIAL)
def test_multi_trial_strategy(name: str, super_resolution: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    strategy = make_strategy(name, **MULTI_TRIAL[name])
    evaluator = super_resolution(steps_per_epoch=2, weight=REWARD.weight, cost_scale=REWARD.cost_scale)
    engine = SequentialExecutionEngine(max_model_count=TRIALS)
    strategy(SimplifiedModelSpace.from_model(make_space(), evaluator), engine)
    metrics = {Genotype.from_sample(model.sample): model.metric for model in engine.list_models()}
    assert len(metrics) >= TRIALS - 1  # evolution may come back to an architecture
    (best,) = strategy.list_models(limit=1)
    assert best.metric == max(metrics.values()) > min(metrics.values())
    check_builds(best.executable_model(), Genotype.from_sample(best.sample))


def reward_with_shared_weights(space: HNASSpace, sample: Any) -> float:
    """Reward of an architecture with the weights that it has in a supernet."""
    low, high = fixed_patches(load_splits("embedded:photos", 2, patch_size=24, seed=3, limit=1).controller, 2, 24, 2, 3)
    network = space.freeze(sample)
    gmacs = cost_table(2, CHANNELS, LAYERS)(network.genotype).gmacs
    return REWARD(patch_psnr(network, low, high, 2, 2), gmacs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_SHOT)
def test_one_shot_strategy(name: str, super_resolution: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    space = make_space()
    arguments = dict(ONE_SHOT[name])
    if name in DIFFERENTIABLE:  # whose loss has no cost in it, unless a penalty puts it there
        arguments["penalty"] = {"profiler": FlopsProfiler(space, torch.zeros(1, 3, 8, 8)), "baseline": 1e5}
    evaluator = super_resolution(
        steps_per_epoch=4 if name in ("DARTS", "GumbelDARTS") else 12,  # draws of a position, of which two differ
        batch=1,
        patch_size=16,
        architectures_per_epoch=4,
        measured_patches=2,
        weight=REWARD.weight,
        cost_scale=REWARD.cost_scale,
    )
    positions = set()
    step = evaluator.module.training_step

    def training_step(batch: Any, batch_idx: int) -> Any:
        genotype = space.active_genotype()
        positions.add(genotype and genotype.position)
        return step(batch, batch_idx)

    evaluator.module.training_step = training_step
    before = space.tail.conv.weight.detach().clone()
    strategy = make_strategy(name, **arguments)
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())
    assert not torch.equal(space.tail.conv.weight, before)
    if name in ("DARTS", "GumbelDARTS"):
        assert positions == {None}  # all of them at a time; their weights are tested in test_oneshot.py
    else:
        assert len(positions) > 1
    if name == "RandomOneShot":  # exports any architecture: another search ranks them
        sample = search_in(strategy.supernet)
    else:
        (best,) = strategy.list_models()
        sample = best.sample
    network = space.freeze(sample)
    check_builds(network, Genotype.from_sample(sample))
    trained, frozen = space.sub_state_dict(network.genotype), network.state_dict()
    assert trained.keys() == frozen.keys()
    assert all(torch.equal(weight, frozen[name]) for name, weight in trained.items())
    drawn = [Genotype.random(seed, LAYERS).to_sample() for seed in range(20)]
    assert reward_with_shared_weights(space, sample) > min(reward_with_shared_weights(space, one) for one in drawn)


def search_in(supernet: HNASSpace) -> Any:
    """Let a multi-trial strategy of NNI search a trained supernet, whose weights its trials keep."""

    def measure(network: HNASNetwork) -> None:
        assert torch.equal(network.tail.conv.weight, supernet.tail.conv.weight)
        nni.report_final_result(reward_with_shared_weights(supernet, network.genotype.to_sample()))

    strategy = nni_strategies.TPE()
    space = RawFormatModelSpace.from_model(supernet, FunctionalEvaluator(measure))
    strategy(space, SequentialExecutionEngine(max_model_count=4))
    (best,) = strategy.list_models(limit=1)
    return best.sample
