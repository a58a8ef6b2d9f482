"""Super-resolution as an evaluator for NNI's strategies, multi-trial and one-shot alike.

Importing this module loads NNI and Lightning; nothing else of :mod:`hnas_nni` imports it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import nni
import torch
from nni.mutable import Mutable
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from hnas_nni.cost import cost_table
from hnas_nni.data import PatchSampler, fixed_patches, load_pairs, load_splits
from hnas_nni.data.layouts import EMBEDDED
from hnas_nni.genotype import Genotype
from hnas_nni.operations import SCALES
from hnas_nni.retraining.batches import PatchBatches, restart
from hnas_nni.retraining.quiet import silence_lightning
from hnas_nni.reward import JointReward
from hnas_nni.training import cosine_learning_rate, patch_psnr, reconstruction_loss
from hnas_nni.trial import TrialResult

_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "devices": 1,
}
"""Lightning's settings for the many short trainings of a search; the caller's go before them."""


class MeasuredPatches(NamedTuple):
    """The patches that PSNR is read on: uint8 ``(n, 3, p / s, p / s)`` and ``(n, 3, p, p)``."""

    lr: Tensor
    hr: Tensor


@nni.trace
class SuperResolution(Lightning):
    """Trains an architecture, or a supernet, on patches and reports the joint reward as NNI's metric.

    *Multi-trial strategies* hand over the frozen network of one architecture. It is trained for ``epochs *
    steps_per_epoch`` steps and then has the figures that ``python -m hnas_nni.trial --no-sharing`` gives it, to the
    last digit on the CPU. *One-shot strategies* hand over the supernet; the reward is that of the architecture that it
    runs, which :meth:`search_spaces.HNASSpace.active_genotype` names. Where it mixes all of them (DARTS, GumbelDARTS)
    PSNR is the mixture's and the cost that of the architecture with the largest weights.

    Logged, and reported to NNI after each epoch and at the end: "default" (the reward, which ENAS takes without being
    told), "psnr" in dB on Y, "gmacs" and "params". PSNR is always read on the same patches of the controller split. A
    strategy that trains on its validation batches (DARTS, GumbelDARTS, Proxyless) gets random patches of that split.

    Parameters
    ----------
    train_data
        "photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_pairs` takes it.
    validation_data
        Another one that PSNR is read on. By default `train_data` is divided by :func:`hnas_nni.data.load_splits`: the
        weight split trains, the controller split is measured.
    scale
        Upscaling factor, that of the model space.
    weight
        lambda of the reward in 0..1: 1 looks at PSNR alone, 0 at the cost alone.
    cost_scale
        What a billion multiply-adds at a 3x480x480 input costs, in dB.
    patch_size, batch
        Side of a patch in HR pixels, a multiple of the scale, and patches in a training step.
    epochs, steps_per_epoch
        Length of the training.
    learning_rate
        At the first step; a cosine takes it to a hundredth.
    measured_patches
        How many patches PSNR is read on.
    architectures_per_epoch
        How many sampled architectures a one-shot strategy measures in an epoch; an evaluation of one architecture
        measures that once.
    limit
        At most so many images of each split; 0 for all.
    seed
        Decides the split, initial weights (in trials) and batches.
    **trainer_kwargs
        For Lightning's Trainer, for example ``precision="16-mixed"`` or ``enable_progress_bar=True``. Without
        ``accelerator`` a GPU is used where there is one.

    Raises
    ------
    ValueError
        If a setting is out of range or the data folder is missing.
    hnas_nni.data.DataError
        When the training starts, if the images can't be used.

    Examples
    --------
    >>> from nni.nas.experiment import NasExperiment
    >>> from nni.nas.strategy import ENAS
    >>> from search_spaces import HNASSpace
    >>> space = HNASSpace(scale=2, channels=8, layers=12)
    >>> experiment = NasExperiment(space, SuperResolution("DIV2K", epochs=400), ENAS())
    >>> experiment.run()  # doctest: +SKIP
    """

    def __init__(
        self,
        train_data: str = "photos",
        validation_data: str | None = None,
        scale: int = 2,
        weight: float = JointReward.weight,
        cost_scale: float = JointReward.cost_scale,
        patch_size: int = 96,
        batch: int = 16,
        epochs: int = 1,
        steps_per_epoch: int = 100,
        learning_rate: float = 1e-3,
        measured_patches: int = 32,
        architectures_per_epoch: int = 20,
        limit: int = 0,
        seed: int = 0,
        **trainer_kwargs: Any,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        if not any(isinstance(value, Mutable) for value in settings.values()):  # NNI puts in values later
            _check(settings)
        self.seed = seed
        self._trainer_kwargs = {"max_epochs": epochs, **_QUIET, **trainer_kwargs}
        self._measured = _Measured(architectures_per_epoch)
        batches = PatchBatches(batch, steps_per_epoch)
        silence_lightning()
        super().__init__(
            SuperResolutionModule(settings, batches, self._measured),
            Trainer(**self._trainer_kwargs),
            train_dataloaders=DataLoader(batches, batch_size=None),
            val_dataloaders=DataLoader(self._measured, batch_size=None),
        )

    def _execute(self, model: Any) -> Any:
        # The network's initial weights are drawn while NNI builds it, before evaluate().
        torch.manual_seed(self.seed)
        return super()._execute(model)

    def evaluate(self, model: nn.Module) -> TrialResult:
        """Train and measure the network of one architecture.

        Parameters
        ----------
        model
            A :class:`hnas_nni.network.HNASNetwork`; it is trained in place.

        Returns
        -------
        hnas_nni.trial.TrialResult
            Reward, PSNR and cost, as reported to NNI.
        """
        # A trainer that has reached its last epoch does not train a second network.
        self.trainer = Trainer(**self._trainer_kwargs)
        self._measured.repetitions = 1
        super().evaluate(model)
        result: TrialResult = self.module.result
        return result


class SuperResolutionModule(LightningModule):
    """What a step and a measurement are; see :class:`SuperResolution`, which makes it."""

    def __init__(self, settings: Mapping[str, Any], batches: PatchBatches, measured: _Measured) -> None:
        super().__init__()
        self.settings = settings
        self.reward: JointReward | None = None
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
            psnr=fmean(result.psnr for result in results),
            gmacs=fmean(result.gmacs for result in results),
            params=round(fmean(result.params for result in results)),
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
        images = _images(str(device), *(self.settings[name] for name in names))
        self.reward = JointReward(self.settings["weight"], self.settings["cost_scale"])
        self._images = images
        self._measured.patches = images.measured
        self._batches.sampler = images.training
        restart(images.training, self.settings["seed"], self.trainer.global_rank)

    @cached_property
    def _controller_sampler(self) -> PatchSampler:
        restart(self._images.controller, self.settings["seed"], self.trainer.global_rank)
        return self._images.controller

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, with a cosine over all batches of the training."""
        rate = self.settings["learning_rate"]
        total = self.trainer.estimated_stepping_batches
        optimizer = torch.optim.Adam(self.parameters(), rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_learning_rate(min(step / total, 1.0), 1.0, 0.01)
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
        result = TrialResult(self.reward(psnr, cost.gmacs), psnr, cost.gmacs, cost.params)
        self._measurements.append((result, genotype))
        for name, value in zip(("default", "psnr", "gmacs", "params"), asdict(result).values(), strict=True):
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
            self.validation_step(self._measured.patches, 0)
        if self._measurements and nni.get_current_parameter() is not None:
            nni.report_intermediate_result(self._metric())

    def on_fit_end(self) -> None:
        """Report the last measurement to NNI as the final one."""
        if self._measurements and nni.get_current_parameter() is not None:
            nni.report_final_result(self._metric())

    def _metric(self) -> dict[str, Any]:
        genotypes = {genotype for _, genotype in self._measurements}
        metric = self.result.to_nni(self._measurements[-1][1])
        if len(genotypes) > 1:  # means over several architectures
            del metric["genotype"]
        return metric


class _Measured(IterableDataset[MeasuredPatches]):
    """The measured patches, as one batch that comes several times."""

    patches: MeasuredPatches

    def __init__(self, repetitions: int) -> None:
        self.repetitions = repetitions

    def __len__(self) -> int:
        return self.repetitions

    def __iter__(self) -> Iterator[MeasuredPatches]:
        for _ in range(self.repetitions):
            yield self.patches


class _Images:
    """The images of a search on one device."""

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
    ) -> None:
        most = limit or None
        if validation_data is None:
            training, measured, _ = load_splits(train_data, scale, patch_size=patch_size, seed=seed, limit=most)
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


def _check(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for the first setting that can't be, before anything is loaded."""
    JointReward(settings["weight"], settings["cost_scale"])
    least = dict.fromkeys(("batch", "epochs", "steps_per_epoch", "measured_patches", "architectures_per_epoch"), 1)
    for name, minimum in {**least, "limit": 0}.items():
        value = settings[name]
        if not isinstance(value, int) or value < minimum:
            raise ValueError(f"{name}: {value!r} is not valid; give an integer of at least {minimum}")
    scale, patch_size, rate = settings["scale"], settings["patch_size"], settings["learning_rate"]
    if scale not in SCALES:
        raise ValueError(f"scale: {scale!r} is not supported; valid are {', '.join(map(str, SCALES))}")
    if patch_size < scale or patch_size % scale:
        raise ValueError(f"patch_size: {patch_size} is not valid; give a multiple of the scale {scale}")
    if not 0 < rate < math.inf:
        raise ValueError(f"learning_rate: {rate} is not valid; give a number above 0")
    for name in ("train_data", "validation_data"):
        data = settings[name]
        if data not in (EMBEDDED, None) and not Path(data).is_dir():
            raise ValueError(f"{name}: {data}: no such folder; give a folder of images, or {EMBEDDED!r}")
