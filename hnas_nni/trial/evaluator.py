"""Super-resolution as an evaluator for NNI's strategies, multi-trial and one-shot alike.

Importing this module loads NNI and Lightning; nothing else of :mod:`hnas_nni` imports it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import nni
import torch
from nni.mutable import Mutable
from nni.nas.evaluator.pytorch import DataLoader, Lightning, Trainer
from torch import nn

from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.network import HNASNetwork
from hnas_nni.network.operations import SCALES
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, check_choice, check_images
from hnas_nni.training.batches import PatchBatches
from hnas_nni.training.quiet import silence_lightning
from hnas_nni.trial.evaluation import TrialResult
from hnas_nni.trial.evaluator_module import MeasuredBatches, SuperResolutionModule
from hnas_nni.trial.reward import JointReward

PAPER_SEARCH = MappingProxyType(
    {"patch_size": 96, "batch": 16, "epochs": 400, "steps_per_epoch": 20, "architectures_per_epoch": 30}
)
"""Length of the paper's search with shared weights (section III-A): in each epoch one pass over the weight split and
one over the controller split, of 320 and 480 of DIV2K's images."""

_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "devices": 1,
}
"""Lightning's settings for the many short trainings of a search; the caller's go before them."""


@nni.trace
class SuperResolution(Lightning):
    """Trains an architecture, or a supernet, on patches and reports the joint reward as NNI's metric.

    *Multi-trial strategies* hand over the frozen network of one architecture. It is trained for ``epochs *
    steps_per_epoch`` steps and then has the figures that ``python -m hnas_nni.trial --no-sharing`` gives it, to the
    last digit on the CPU. *One-shot strategies* hand over the supernet; the reward is that of the architecture that it
    runs, which :meth:`search_spaces.HNASSpace.active_genotype` names. Where it mixes all of them (DARTS, GumbelDARTS)
    PSNR is the mixture's and the cost that of the architecture with the largest weights.

    Logged, and reported to NNI after each epoch and at the end: "default" (the reward, which ENAS takes without being
    told), "psnr" in dB on Y, "gmacs" and "params".

    *Images* (paper, Algorithm 1): the weight split trains weights. The controller split rewards: one architecture by
    its own trial, on the same patches for all; in one-shot strategies that learn from validation batches (ENAS,
    DARTS, GumbelDARTS, Proxyless, HierarchicalOneShot) each such batch has other random patches of it. What one-shot
    strategies validate on, log and rank by are the same patches of the validation split each time.

    Parameters
    ----------
    train_data
        "photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_pairs` takes it.
    validation_data
        Another one, for example Set5. One-shot strategies take it as the validation split, in place of images that
        :func:`hnas_nni.data.load_splits` holds out; a trial trains on all of `train_data` and is measured on this.
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
        At the first step; a cosine takes it to a hundredth. None: for a supernet the paper's 1e-3, for one architecture
        that of :class:`hnas_nni.trial.TrialSettings`.
    measured_patches
        How many patches PSNR is read on.
    architectures_per_epoch
        How many validation batches a one-shot strategy has in an epoch: as often its controller learns, and as many
        sampled architectures are measured for the log. An evaluation of one architecture measures that once.
    limit
        At most so many images of each split; 0 for all.
    first_weights
        In the evaluation of one architecture: "interpolation" lets it start as an interpolation of the image
        (:func:`hnas_nni.network.first_weights.interpolate`), "torch" with the weights that it comes with. A supernet
        starts as the space's `normalization` says.
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
    >>> space = HNASSpace(scale=2, channels=8, layers=12, normalization="mean")
    >>> evaluator = SuperResolution("photos", **PAPER_SEARCH)  # or a folder of images
    >>> experiment = NasExperiment(space, evaluator, ENAS())
    >>> experiment.run()  # doctest: +SKIP
    """

    def __init__(
        self,
        train_data: str = EMBEDDED,
        validation_data: str | None = None,
        scale: int = 2,
        weight: float = JointReward.weight,
        cost_scale: float = JointReward.cost_scale,
        patch_size: int = 96,
        batch: int = 16,
        epochs: int = 1,
        steps_per_epoch: int = 100,
        learning_rate: float | None = None,
        measured_patches: int = 32,
        architectures_per_epoch: int = 20,
        limit: int = 0,
        first_weights: str = "interpolation",
        seed: int = 0,
        **trainer_kwargs: Any,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        if not any(isinstance(value, Mutable) for value in settings.values()):  # NNI puts in values later
            _check(settings)
        self.seed = seed
        self._interpolates = first_weights == "interpolation"
        self._trainer_kwargs = {"max_epochs": epochs, **_QUIET, **trainer_kwargs}
        self._measured = MeasuredBatches(architectures_per_epoch)
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
            A :class:`hnas_nni.network.network.HNASNetwork`; it is trained in place.

        Returns
        -------
        hnas_nni.trial.TrialResult
            Reward, PSNR and cost, as reported to NNI.
        """
        # A trainer that has reached its last epoch does not train a second network.
        self.trainer = Trainer(**self._trainer_kwargs)
        if self._interpolates and isinstance(model, HNASNetwork):
            interpolate(model)
        self._measured.repetitions = 1
        super().evaluate(model)
        result: TrialResult = self.module.result
        return result


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
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"learning_rate: {rate} is not valid; give a number above 0")
    for name in ("train_data", "validation_data"):
        check_images(name, settings[name])
    check_choice("first_weights", settings["first_weights"], FIRST_WEIGHTS)
