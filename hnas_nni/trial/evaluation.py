"""Evaluating an architecture: a training of a few steps, PSNR, multiply-adds and the joint reward."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.trial.images import splits_of
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import TrialSettings

if TYPE_CHECKING:
    from hnas_nni.network.network import HNASNetwork


@dataclass(frozen=True)
class TrialResult:
    """What a trial reports: PSNR in dB on Y, multiply-adds in 10^9 at a 3x480x480 input, and the reward of both."""

    reward: float
    psnr: float
    gmacs: float
    params: int

    def to_nni(self, genotype: Genotype) -> dict[str, Any]:
        """Return the final metric, a dict whose "default" is what NNI optimises."""
        metric = {"default": self.reward, **asdict(self), "genotype": str(genotype)}
        del metric["reward"]
        return metric


def evaluate(
    genotype: Genotype,
    reward: JointReward,
    settings: TrialSettings,
    *,
    shared_weights: Path | None = None,
    number: int = 0,
    report: Any = None,
) -> tuple[TrialResult, HNASNetwork]:
    """Train an architecture for a few steps and measure it.

    Parameters
    ----------
    genotype
        The architecture.
    reward
        Joins PSNR and cost.
    settings
        How to train and measure.
    shared_weights
        Database of :class:`hnas_nni.trial.shared_weights.SharedWeights` to start from and give back to; None trains
        from scratch.
    number
        Number of the trial, so that trials of one seed draw different batches.
    report
        Called with each intermediate PSNR.

    Returns
    -------
    result, network
        The figures, and the trained network.

    Raises
    ------
    ValueError
        If settings, data, genotype or shared weights do not fit.
    """
    genotype.check_layers(settings.layers)
    import torch

    from hnas_nni.cost import cost_table
    from hnas_nni.data import PatchSampler, fixed_patches
    from hnas_nni.network.devices import choose_device
    from hnas_nni.network.first_weights import interpolate
    from hnas_nni.network.network import HNASNetwork
    from hnas_nni.training.step import Adam, cosine_learning_rate, patch_psnr, training_step

    device = choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    sizes = {"scale": settings.scale, "channels": settings.channels, "layers": settings.layers}
    splits = splits_of(settings)
    seed = settings.seed + 100_003 * number
    torch.manual_seed(seed)
    network = HNASNetwork(genotype, **sizes)
    if settings.first_weights == "interpolation":
        interpolate(network)
    store = None
    if shared_weights is not None:
        from hnas_nni.trial.shared_weights import SharedWeights

        store = SharedWeights(shared_weights, **sizes)
        store.load_into(network)
    network.to(device)
    sampler = PatchSampler(splits.weight, settings.scale, settings.patch, device, seed)
    # The same patches for every trial of a search, whatever its number.
    low, high = fixed_patches(
        splits.controller, settings.scale, settings.patch, settings.measured_patches, settings.seed
    )
    low, high = low.to(device), high.to(device)
    optimizer = Adam()
    psnr = math.nan
    for step in range(settings.steps):
        rate = cosine_learning_rate(step / settings.steps, settings.learning_rate, settings.learning_rate / 100)
        training_step(network, optimizer, *sampler.sample(settings.batch), rate)
        done = step + 1
        if done * settings.reports // settings.steps > step * settings.reports // settings.steps:
            psnr = patch_psnr(network, low, high, settings.scale, settings.batch)
            if not math.isfinite(psnr):
                raise ValueError(f"--learning-rate: training diverged at step {done}; give a smaller one")
            if report is not None:
                report(psnr)
    if store is not None:
        store.give_back(network)
    cost = cost_table(settings.scale, settings.channels, settings.layers)(genotype)
    return TrialResult(reward(psnr, cost.gmacs), psnr, cost.gmacs, cost.params), network
