"""What :class:`hnas_nni.trial.evaluator.SuperResolution` does in a step and in a measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import nni
import torch
from nni.nas.evaluator.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.data import PatchSampler, fixed_patches, load_pairs, load_splits
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.efficient_network import EfficientNetwork
from hnas_nni.network.network import HNASNetwork
from hnas_nni.training.batches import PatchBatches, restart
from hnas_nni.training.step import (
    FIRST_LEARNING_RATE,
    MomentsOfTorch,
    bicubic_psnr,
    cosine_learning_rate,
    patch_psnr,
    reconstruction_loss,
)
from hnas_nni.trial.checkpoints import go_on, leave
from hnas_nni.trial.evaluation import TrialResult
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import LEARNING_RATE, PAPER_LEARNING_RATE, WARM_UP


class MeasuredPatches(NamedTuple):
    """The patches that PSNR is read on: uint8 ``(n, 3, p / s, p / s)`` and ``(n, 3, p, p)``."""

    lr: Tensor
    hr: Tensor


class SuperResolutionModule(LightningModule):
    """What a step and a measurement are; see :class:`SuperResolution`, which makes it.

    Attributes
    ----------
    checkpoint, left_before
        Where a stage of successive halving leaves off, and where the one before did; None where there are none.
    reports_final
        Whether the end of a training is reported to NNI here; False where the evaluator does so, after more work.
    """

    def __init__(
        self, settings: Mapping[str, Any], batches: PatchBatches, measured: MeasuredBatches, stage: Stage | None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.reward: JointReward | None = None
        self.checkpoint: Path | None = None
        self.left_before: Path | None = None
        self.reports_final = True
        self._stage = stage
        self._done_before = 0
        self._batches = batches
        self._measured = measured
        self._measurements: list[tuple[TrialResult, Genotype]] = []

    @property
    def result(self) -> TrialResult:
        """Means over the architectures that the last epoch measured.

        Raises
        ------
        RuntimeError
            If none was measured yet.
        """
        if not self._measurements:
            raise RuntimeError("no architecture was measured yet")
        results = [result for result, _ in self._measurements]
        return TrialResult(
            reward=fmean(result.reward for result in results),
            psnr=fmean(result.psnr for result in results if result.psnr is not None),
            gain=fmean(result.gain for result in results if result.gain is not None),
            gmacs=fmean(result.gmacs for result in results),
            params=round(fmean(result.params for result in results)),
            steps=max(result.steps for result in results),
            stage=None if self._stage is None else self._stage.number,
        )

    def set_model(self, model: nn.Module) -> None:
        """Take the network or supernet to train.

        Raises
        ------
        ValueError
            If its scale is not the evaluator's.
        """
        if model.scale != self.settings["scale"]:
            raise ValueError(f"scale: the model's is {model.scale} and the evaluator's {self.settings['scale']}")
        super().set_model(model)

    def setup(self, stage: str) -> None:
        """Put the images on the device that Lightning has chosen, and begin the draws anew."""
        device = self.trainer.strategy.root_device
        names = ("train_data", "validation_data", "scale", "patch_size", "measured_patches", "limit", "seed")
        shared = not isinstance(self.model, SuperResolutionNetwork)
        images = _images(str(device), *(self.settings[name] for name in names), shared=shared)
        self.reward = JointReward(self.settings["weight"], self.settings["cost_scale"])
        self._images = images
        self._measured.draw = self._measured_patches
        self._batches.sampler = images.training
        seed = self.settings["seed"] if self._stage is None else self._stage.seed(self.settings["seed"])
        restart(images.training, seed, self.trainer.global_rank)

    @cached_property
    def _controller_sampler(self) -> PatchSampler:
        restart(self._images.controller, self.settings["seed"], self.trainer.global_rank)
        return self._images.controller

    def _measured_patches(self) -> MeasuredPatches:
        """Return what PSNR is read on next: the same patches in each validation, others for each controller step."""
        if self.trainer.validating:
            return self._images.measured
        patches = self._controller_sampler.sample(self.settings["measured_patches"])
        return MeasuredPatches(*(patch.mul(255).round().byte() for patch in patches))

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, with a cosine over all steps on weights; one-shot strategies have other batches besides.

        Raises
        ------
        ValueError
            If a stage after the first has no weights to go on from.
        """
        rate, warm_up = FIRST_LEARNING_RATE, 0.0
        if isinstance(self.model, HNASNetwork):
            rate = PAPER_LEARNING_RATE
        elif isinstance(self.model, EfficientNetwork):
            rate, warm_up = LEARNING_RATE, WARM_UP
        rate = self.settings["learning_rate"] or rate
        total = (self.trainer.max_epochs or 1) * len(self._batches)
        optimizer = torch.optim.Adam(self.parameters(), rate, fused=True)
        self._moments = MomentsOfTorch(optimizer)
        if self.left_before is not None and self._stage is not None and self._stage.number > 1:
            self._done_before = go_on(self.left_before, self.model, self._moments)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_learning_rate(min(step / total, 1.0), 1.0, 0.01, warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        if isinstance(batch, MeasuredPatches):
            batch = self._controller_sampler.sample(self.settings["batch"])
        loss = reconstruction_loss(self.model, *batch)
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: MeasuredPatches, batch_idx: int) -> None:
        """Measure the architecture that the model is, or runs now."""
        model = self.model
        psnr = patch_psnr(model, *batch, model.scale, self.settings["batch"])
        if not math.isfinite(psnr):
            raise ValueError("learning_rate: training diverged; give a smaller one")
        genotype = _genotype(model)
        cost = cost_table(model.scale, model.channels, model.layers)(genotype)
        assert self.reward is not None
        gain = psnr - bicubic_psnr(*batch, model.scale)
        reward = self.reward(psnr, cost.gmacs)
        steps = self._done_before + self.trainer.global_step
        result = TrialResult(reward, psnr, gain, cost.gmacs, cost.params, steps)
        self._measurements.append((result, genotype))
        for name, value in zip(("default", "psnr", "gain", "gmacs", "params"), asdict(result).values(), strict=False):
            self.log(name, float(value), prog_bar=name in {"default", "psnr"}, batch_size=1)

    def on_train_epoch_start(self) -> None:
        """Begin a new list of measurements."""
        self._measurements = []

    def on_validation_start(self) -> None:
        """Begin a new list of measurements."""
        self._measurements = []

    def on_train_epoch_end(self) -> None:
        """Report the epoch to NNI; strategies that never validate (DARTS and its kin) are measured here."""
        if not self._measurements and not self.trainer.val_dataloaders:
            self.validation_step(self._images.measured, 0)
        if self._measurements and nni.get_current_parameter() is not None:
            nni.report_intermediate_result(self.metric())

    def on_fit_end(self) -> None:
        """Report the last measurement to NNI as the final one."""
        if self.reports_final and self._measurements and nni.get_current_parameter() is not None:
            nni.report_final_result(self.metric())

    def leave(self) -> None:
        """Leave the network and its optimizer's moments for the next stage, if there are stages."""
        if self.checkpoint is not None:
            leave(self.checkpoint, self.model, self._moments, self.result.steps)

    def metric(self) -> dict[str, Any]:
        """Return the last measurement as NNI's metric."""
        genotypes = {genotype for _, genotype in self._measurements}
        metric = self.result.to_nni(self._measurements[-1][1])
        if len(genotypes) > 1:  # means over several architectures
            del metric["genotype"]
        return metric


class MeasuredBatches(IterableDataset[MeasuredPatches]):
    """Batches that architectures are measured on.

    Parameters
    ----------
    repetitions
        How many there are in an epoch.

    Attributes
    ----------
    draw
        Gives the next batch; set in the module's ``setup``.
    """

    draw: Callable[[], MeasuredPatches]

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions

    def __len__(self) -> int:
        return self.repetitions

    def __iter__(self) -> Iterator[MeasuredPatches]:
        for _ in range(self.repetitions):
            yield self.draw()


class _Images:
    """The images of a search on one device.

    The network of one architecture (`shared` false) learns from all that is not held out, and its PSNR on the others
    rewards the controller. A supernet's weights learn from the weight split, and its controller from the other one; it
    is validated on images that neither of the two has seen.
    """

    def __init__(
        self,
        device: str,
        train_data: str,
        validation_data: str | None,
        scale: int,
        patch_size: int,
        measured_patches: int,
        limit: int,
        seed: int,
        shared: bool,
    ) -> None:
        most = limit or None
        if validation_data is None or shared:
            splits = load_splits(
                train_data, scale, validation=validation_data, patch_size=patch_size, seed=seed, limit=most
            )
            training, measured = splits.weight if shared else splits.search, splits.validation
            self._controller = splits.controller, scale, patch_size, device
        else:
            training, measured = (
                load_pairs(data, scale, minimum_size=patch_size, limit=most) for data in (train_data, validation_data)
            )
            self._controller = measured, scale, patch_size, device
        self.training = PatchSampler(training, scale, patch_size, device)
        low, high = fixed_patches(measured, scale, patch_size, measured_patches, seed)
        self.measured = MeasuredPatches(low.to(device), high.to(device))

    @cached_property
    def controller(self) -> PatchSampler:
        """Random patches of the images that are measured."""
        return PatchSampler(*self._controller)


# The trials of a search that run in one process share the decoded images.
_images = lru_cache(maxsize=1)(_Images)


def _genotype(model: Any) -> Genotype:
    """The architecture whose cost counts; a supernet names the one that it runs."""
    genotype = getattr(model, "genotype", None) or model.active_genotype() or model.likeliest_genotype()
    assert isinstance(genotype, Genotype)
    return genotype
