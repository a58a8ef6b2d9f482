"""Evaluating an architecture: a training of a few steps, PSNR, multiply-adds and the joint reward."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.checkpoints import checkpoint_path, go_on, leave
from hnas_nni.trial.images import images_of
from hnas_nni.trial.parameters import STAGE, Stage
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import LEARNING_RATE, PAPER_LEARNING_RATE, WARM_UP, TrialSettings

if TYPE_CHECKING:
    from torch import nn

    from hnas_nni.trial.weights_client import CommonWeights


OVER_BUDGET = -1000.0
"""Reward of an architecture at the budget's double; below any within, whatever the reward's settings are."""


@dataclass(frozen=True)
class TrialResult:
    """What a trial reports, at its end or on the way there.

    Parameters
    ----------
    reward
        The reward.
    psnr
        In dB on Y, over all measured patches; None where the architecture is above the budget and was not trained.
    gain
        By how many dB that is more than bicubic interpolation of the same patches.
    gmacs, params
        Multiply-adds in 10^9 at a 3x480x480 input, and parameters.
    steps
        Training steps over all stages, so far.
    stage
        Of successive halving, counted from 1; None in another search.
    milliseconds
        On the device of the budget's table of times; None without one.
    """

    reward: float
    psnr: float | None
    gain: float | None
    gmacs: float
    params: int
    steps: int
    stage: int | None = None
    milliseconds: float | None = None

    def to_nni(self, genotype: Genotype) -> dict[str, Any]:
        """Return the final metric, a dict whose "default" is what NNI optimises."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return {"default": fields.pop("reward"), **fields, "genotype": str(genotype)}

    def on_the_way(self) -> dict[str, Any]:
        """Return an intermediate metric: "default" is a reward as that of the final one, so that the two compare.

        NNI's assessors go by it, and the web UI draws it. The cost is with it, so that a tuner can reward a trial that
        is stopped under its own settings.
        """
        return {"default": self.reward, "psnr": self.psnr, "gain": self.gain, "gmacs": self.gmacs, "steps": self.steps}


@dataclass(frozen=True)
class Training:
    """What a trial needs to know besides its architecture.

    Parameters
    ----------
    settings
        How to train and measure.
    shared_weights
        Database of :class:`hnas_nni.trial.shared_weights.SharedWeights` to start from and give back to, or the way to
        one beside NNI's manager; None trains from scratch. Of the paper's space alone.
    number
        Number of the trial, so that trials of one seed draw different batches.
    stage
        How far to go in a search by successive halving; None outside of one.
    folder
        The experiment's, where stages leave off and go on.
    common
        Where trials of the next stage, on other machines, get the weights from; None where they see the folder.
    """

    settings: TrialSettings
    shared_weights: Path | CommonWeights | None = None
    number: int = 0
    stage: Stage | None = None
    folder: Path | None = None
    common: CommonWeights | None = None


def evaluate(
    genotype: Genotype,
    reward: JointReward,
    training: Training,
    report: Callable[[TrialResult], object] | None = None,
) -> tuple[TrialResult, nn.Module | None]:
    """Train an architecture for some steps and measure it.

    Parameters
    ----------
    genotype
        The architecture.
    reward
        Joins PSNR and cost.
    training
        How to train and measure.
    report
        Called with each intermediate result.

    Returns
    -------
    result, network
        The figures, and the trained network, plain torch; None where the architecture is above the budget.

    Raises
    ------
    ValueError
        If settings, data, genotype, weights or budget do not fit.
    """
    settings = training.settings
    from hnas_nni.trial.pricing import costs_under

    budget = settings.bound() or Budget(scale=settings.scale, channels=settings.channels, layers=settings.layers)
    cost = costs_under(budget)(genotype)
    milliseconds = cost.milliseconds or None
    if not budget.fits(cost):
        # Below any within: NNI's own strategies can't leave it out beforehand.
        below = OVER_BUDGET * budget.excess(cost) / 2
        return TrialResult(below, None, None, cost.gmacs, cost.params, steps=0, milliseconds=milliseconds), None
    stage = None if training.stage is None else training.stage.number

    def result(steps: int, psnr: float, gain: float) -> TrialResult:
        return TrialResult(reward(psnr, cost.gmacs), psnr, gain, cost.gmacs, cost.params, steps, stage, milliseconds)

    def tell(steps: int, psnr: float, gain: float) -> None:
        if report is not None:
            report(result(steps, psnr, gain))

    steps, psnr, gain, network = _train(genotype, training, tell)
    return result(steps, psnr, gain), network


def _train(
    genotype: Genotype, training: Training, tell: Callable[[int, float, float], object]
) -> tuple[int, float, float, nn.Module]:
    """Return the steps over all stages, PSNR, what that is above bicubic, and the network; tell them on the way."""
    import torch

    from hnas_nni.data import PatchSampler, fixed_patches
    from hnas_nni.network.devices import choose_device
    from hnas_nni.network.over_parameterised import collapse, expand
    from hnas_nni.training.step import Adam, bicubic_psnr, cosine_learning_rate, patch_psnr, training_step

    settings, stage = training.settings, training.stage
    checkpoint = None if stage is None else _checkpoint(training, genotype, stage.number)
    steps = settings.steps if stage is None else stage.steps
    device = choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    images = images_of(settings)
    seed = settings.seed + 100_003 * training.number
    if stage is not None:
        seed = stage.seed(seed)
    torch.manual_seed(seed)
    network = genotype.build(settings.scale, settings.channels, settings.layers)
    store = None
    if genotype.space is PAPER:
        store = _start_paper_network(network, training)
    elif training.shared_weights is not None:
        raise ValueError("--shared-weights: only the paper's space shares weights between trials; leave it out")
    network.to(device)
    expand(network)
    optimizer = Adam()
    done_before = 0
    if stage is not None and stage.number > 1:
        before = _checkpoint(training, genotype, stage.number - 1)
        if training.common is not None:
            training.common.fetch(before)
        done_before = go_on(before, network, optimizer)
        if training.common is not None:
            before.unlink()
    sampler = PatchSampler(images.training, settings.scale, settings.patch, device, seed)
    # The same patches for every trial of a search, whatever its number.
    low, high = fixed_patches(images.measured, settings.scale, settings.patch, settings.measured_patches, settings.seed)
    low, high = low.to(device), high.to(device)
    bicubic = bicubic_psnr(low, high, settings.scale)
    psnr = math.nan
    rate = settings.learning_rate or (PAPER_LEARNING_RATE if genotype.space is PAPER else LEARNING_RATE)
    warm_up = 0.0 if genotype.space is PAPER else WARM_UP
    for step in range(steps):
        now = cosine_learning_rate(step / steps, rate, rate / 100, warm_up)
        training_step(network, optimizer, *sampler.sample(settings.batch), now)
        done = step + 1
        if done * settings.reports // steps > step * settings.reports // steps:
            psnr = patch_psnr(network, low, high, settings.scale, settings.batch)
            if not math.isfinite(psnr):
                raise ValueError(f"--learning-rate: training diverged at step {done}; give a smaller one")
            tell(done_before + done, psnr, psnr - bicubic)
    if checkpoint is not None:
        leave(checkpoint, network, optimizer, done_before + steps)
        if training.common is not None:
            training.common.store(checkpoint)
            checkpoint.unlink()
    collapse(network)
    if store is not None:
        store.give_back(network)
    return done_before + steps, psnr, psnr - bicubic, network


def _start_paper_network(network: Any, training: Training) -> Any:
    """Give a network of the paper's space its first weights; returns the database that it shares, or None."""
    from hnas_nni.network.first_weights import interpolate

    if training.settings.first_weights == "interpolation":
        interpolate(network)
    if training.shared_weights is None or training.stage is not None:
        return None
    from hnas_nni.trial.shared_weights import CommonSharedWeights, SharedWeights

    sizes = {"scale": network.scale, "channels": network.channels, "layers": network.layers}
    where = training.shared_weights
    store = SharedWeights(where, **sizes) if isinstance(where, Path) else CommonSharedWeights(where, **sizes)
    store.load_into(network)
    return store


def _checkpoint(training: Training, genotype: Genotype, stage: int) -> Path:
    if training.folder is None:
        raise ValueError(f"{STAGE}: only within an experiment of NNI, in whose folder the weights lie")
    return checkpoint_path(training.folder, genotype, stage)
