"""The super-resolution evaluator under NNI's own strategies and engines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.mutable import Categorical
from nni.nas import strategy as nni_strategies
from nni.nas.evaluator import FrozenEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.space import RawFormatModelSpace, SimplifiedModelSpace
from rounding import same_psnr

from hnas_nni import Genotype
from hnas_nni.cost import count
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.metrics import psnr_y
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.reward import JointReward
from search_spaces import HNASSpace

CHANNELS = 2
LAYERS = 3
SIZES = {"scale": 2, "channels": CHANNELS, "layers": LAYERS}
REWARD = JointReward(0.3, 0.2)
Make = Callable[..., Any]


def space() -> HNASSpace:
    return HNASSpace(**SIZES)


def engine_models(experiment: NasExperiment) -> Iterator[Any]:
    return experiment._engine.list_models()


def psnr_by_hand(network: Any, lows: torch.Tensor, highs: torch.Tensor) -> float:
    """PSNR of the network's 8-bit images on patches of one size, from the mean of their squared errors."""
    errors = []
    for low, high in zip(lows, highs, strict=True):
        with torch.no_grad():
            image = network.eval()(low[None] / 255)[0].clamp(0, 1).mul(255).round().byte()
        errors.append(10 ** (-psnr_y(image.permute(1, 2, 0).numpy(), high.permute(1, 2, 0).numpy(), 2) / 10))
    return -10 * math.log10(sum(errors) / len(errors))


def spy(evaluator: Any) -> list[tuple[torch.Tensor, Genotype]]:
    """Note which images an evaluator's module trains on and which architecture a supernet then runs."""
    seen: list[tuple[torch.Tensor, Genotype]] = []
    network_of = type(evaluator.module).model.fget

    def forward(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append((inputs[0].detach().clone(), module.active_genotype()))

    original = evaluator.module.set_model

    def set_model(model: Any) -> None:
        original(model)
        network_of(evaluator.module).register_forward_pre_hook(forward)

    evaluator.module.set_model = set_model
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [SIZES, {"scale": 2}], ids=["paper", "efficient"])
def test_multi_trial_experiment(sizes: dict[str, int], super_resolution: Make, nni_home: Path) -> None:
    """A whole NAS experiment: each trial has the figures of the nnictl path's trial of the same architecture."""
    evaluator = super_resolution(weight=REWARD.weight, cost_scale=REWARD.cost_scale)
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=2)
    searched = HNASSpace(**sizes, space="paper" if sizes is SIZES else "efficient")
    experiment = NasExperiment(searched, evaluator, nni_strategies.Random(), config)
    experiment.run(port=0)
    experiment.stop()
    settings = TrialSettings(steps=3, batch=2, patch=24, measured_patches=4, limit=1, seed=3, device="cpu", **SIZES)
    models = list(engine_models(experiment))
    assert len(models) == 2
    for model in models:
        genotype = Genotype.from_sample(model.sample)
        expected, _ = evaluate(genotype, REWARD, Training(settings))
        assert model.metric == pytest.approx(expected.reward, rel=1e-9)
        macs = count(genotype, 2, CHANNELS, LAYERS).macs
        assert expected.reward == pytest.approx(0.3 * expected.psnr - 0.7 * 0.2 * macs / 1e9)


@pytest.mark.slow
def test_first_weights_are_those_of_an_interpolation_unless_told_otherwise(super_resolution: Make) -> None:
    psnr = {
        first_weights: super_resolution(first_weights=first_weights, learning_rate=1e-6)
        .evaluate(Genotype.random(1, layers=LAYERS).build(2, 8, LAYERS))
        .psnr
        for first_weights in ("interpolation", "torch")
    }
    default = super_resolution(learning_rate=1e-6).evaluate(Genotype.random(1, layers=LAYERS).build(2, 8, LAYERS))
    assert default.psnr > psnr["torch"] + 3
    assert psnr["interpolation"] > psnr["torch"] + 3


@pytest.mark.slow
def test_trained_network_has_the_reported_figures(super_resolution: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = super_resolution(epochs=2)
    model = SimplifiedModelSpace.from_model(space(), evaluator).freeze(Genotype.random(5, layers=LAYERS).to_sample())
    network = model.executable_model()
    before = network.tail.conv.weight.detach().clone()
    reported: dict[str, list[Any]] = {"intermediate": [], "final": []}
    monkeypatch.setattr(nni, "get_current_parameter", lambda: model)  # as in a trial
    monkeypatch.setattr(nni, "report_intermediate_result", reported["intermediate"].append)
    monkeypatch.setattr(nni, "report_final_result", reported["final"].append)
    result = evaluator.evaluate(network)
    assert not torch.equal(network.tail.conv.weight, before)
    cost = count(network.genotype, 2, CHANNELS, LAYERS)
    patches = fixed_patches(load_splits("embedded:photos", 2, patch_size=24, seed=3, limit=1).validation, 2, 24, 4, 3)
    assert result.psnr == same_psnr(psnr_by_hand(network, *patches))
    assert (result.gmacs, result.params) == (cost.macs / 1e9, cost.params)
    assert result.reward == JointReward()(result.psnr, result.gmacs)
    (final,) = reported["final"]
    assert final == result.to_nni(network.genotype)
    assert len(reported["intermediate"]) == 2
    assert reported["intermediate"][1] == final != reported["intermediate"][0]


def test_evaluator_can_be_used_again(super_resolution: Make) -> None:
    """NNI hands the same evaluator to every trial of a process; the second trains like the first."""
    evaluator = super_resolution()
    figures = []
    for _ in range(2):
        torch.manual_seed(0)
        figures.append(evaluator.evaluate(Genotype.random(1, layers=LAYERS).build(**SIZES)))
    assert figures[0] == figures[1]


def test_evaluator_travels_to_a_trial(super_resolution: Make) -> None:
    """Trials are processes: NNI writes the evaluator to a file for them, without its images."""
    evaluator = super_resolution(weight=0.25)
    text = nni.dump(evaluator)
    assert len(text) < 2000
    copy = nni.load(text)
    assert type(copy) is type(evaluator)
    assert copy.trace_kwargs == evaluator.trace_kwargs
    assert copy.trace_kwargs["weight"] == 0.25


def test_settings_can_be_searched_too(super_resolution: Make) -> None:
    evaluator = super_resolution(learning_rate=Categorical([1e-3, 1e-4], label="rate"))
    frozen = evaluator.freeze({"rate": 1e-4})
    assert isinstance(frozen, FrozenEvaluator)
    assert frozen.get().module.settings["learning_rate"] == 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RandomOneShot", "ENAS"])
def test_one_shot_rewards_the_architecture_that_was_measured(name: str, super_resolution: Make) -> None:
    """Strategies made without arguments."""
    evaluator = super_resolution(epochs=2, architectures_per_epoch=3, weight=0.3, cost_scale=0.2)
    taken: list[tuple[dict[str, float], Genotype, float]] = []
    step = evaluator.module.validation_step

    def validation_step(batch: Any, batch_idx: int) -> None:
        step(batch, batch_idx)
        model = evaluator.module.model
        network = model.freeze(model.active_genotype().to_sample())
        logged = {key: float(value) for key, value in evaluator.trainer.callback_metrics.items()}
        taken.append((logged, network.genotype, psnr_by_hand(network, *batch)))

    evaluator.module.validation_step = validation_step
    model = space()
    strategy = getattr(nni_strategies, name)()
    engine = SequentialExecutionEngine()
    rewards: list[float] = []
    strategy(RawFormatModelSpace.from_model(model, evaluator), engine)
    assert len(taken) == 6
    assert len({genotype for _, genotype, _ in taken}) > 1
    for logged, genotype, psnr in taken:
        gmacs = count(genotype, 2, CHANNELS, LAYERS).macs / 1e9
        rewards.append(REWARD(psnr, gmacs))
        if name == "ENAS":  # whose reward is what is logged right after the step
            assert logged["default"] == same_psnr(rewards[-1])  # dB times the weight
            assert logged["psnr"] == same_psnr(psnr)
            assert logged["gmacs"] == pytest.approx(gmacs)
    (searched,) = engine.list_models()
    assert searched.metrics.intermediates == same_psnr([sum(rewards[:3]) / 3, sum(rewards[3:]) / 3])
    assert searched.metrics.final == searched.metrics.intermediates[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DARTS", "Proxyless"])
def test_strategies_that_train_on_validation_batches_get_the_controller_split(
    name: str, super_resolution: Make
) -> None:
    evaluator = super_resolution(steps_per_epoch=2, weight=1.0)
    seen = spy(evaluator)
    model = HNASSpace(scale=2, channels=1, layers=2)
    strategy = getattr(nni_strategies, name)()
    engine = SequentialExecutionEngine()
    strategy(RawFormatModelSpace.from_model(model, evaluator), engine)
    splits = load_splits("embedded:photos", 2, patch_size=24, seed=3, limit=1)
    sources = [{tuple(pixel) for pixel in split[0].lr.reshape(-1, 3)} for split in (splits.controller, splits.weight)]
    trained = [images for images, _ in seen if len(images) == 2]
    # The architecture's step and the weights' step take turns; a patch has pixels of its split alone.
    for index, images in enumerate(trained[: 2 * 2]):
        pixels = {tuple(pixel) for pixel in images.mul(255).round().byte().permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
        assert pixels <= sources[index % 2]
        assert not pixels <= sources[1 - index % 2]
    assert not torch.equal(trained[0], trained[2])
    (searched,) = engine.list_models()
    assert (model.active_genotype() is None) == (name == "DARTS")
    assert searched.metrics.final > 0


@pytest.mark.slow
def test_active_and_likeliest_architecture() -> None:
    from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule

    assert space().active_genotype() is None
    with pytest.raises(TypeError, match="Proxyless"):
        space().likeliest_genotype()
    for name in ("RandomOneShot", "ENAS", "Proxyless"):
        supernet = getattr(nni_strategies, name)().mutate_model(space())
        assert supernet.active_genotype() is None
        for seed in range(3):
            genotype = Genotype.random(seed, layers=LAYERS)
            for module in supernet.modules():
                if isinstance(module, BaseSuperNetModule):
                    module.resample(genotype.to_sample())
            assert supernet.active_genotype() == genotype
    mixture = nni_strategies.DARTS().mutate_model(space())
    assert mixture.active_genotype() is None
    mixture.blocks._arch_alpha.data = torch.tensor([0.0, 5.0, 0.0])
    assert mixture.likeliest_genotype().position == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": 2}, "lambda: 2"),
        ({"batch": 0}, "batch: 0"),
        ({"steps_per_epoch": 1.5}, "steps_per_epoch: 1.5"),
        ({"scale": 5}, "scale: 5"),
        ({"patch_size": 25}, "multiple of the scale 2"),
        ({"learning_rate": 0}, "learning_rate: 0"),
        ({"first_weights": "zero"}, "first_weights: 'zero' is not valid; give one of interpolation, torch"),
        ({"train_data": "/no/such"}, "train_data: /no/such: no such folder"),
        ({"validation_data": "/no/such"}, "validation_data: /no/such"),
    ],
)
def test_bad_settings_are_refused_at_once(settings: dict[str, Any], message: str, super_resolution: Make) -> None:
    with pytest.raises(ValueError, match=message):
        super_resolution(**settings)


def test_other_scale_and_divergence_are_named(super_resolution: Make) -> None:
    with pytest.raises(ValueError, match="scale: the model's is 3 and the evaluator's 2"):
        super_resolution().evaluate(Genotype.random(1, layers=LAYERS).build(3, CHANNELS, LAYERS))
    with pytest.raises(ValueError, match="learning_rate"):
        super_resolution(learning_rate=1e30).evaluate(Genotype.random(1, layers=LAYERS).build(**SIZES))
