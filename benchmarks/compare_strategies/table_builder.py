"""Measuring every architecture of a part of the space with the shared weights of one supernet.

The supernet is trained by uniform path sampling (Guo et al., "Single Path One-Shot Neural Architecture Search with
Uniform Sampling", ECCV 2020, arXiv:1904.00420); every architecture is then a path of it, and is measured as it is. Its
nodes average their inputs, as in ``hnas search``: without that, shared weights give little more than the mean colour.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from architecture_table import ArchitectureTable, SubSpace
from tqdm import tqdm

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.data import PatchSampler, fixed_patches, load_splits
from hnas_nni.network.state_file import save_state
from hnas_nni.settings import EMBEDDED, Settings, shared
from hnas_nni.training.step import cosine_learning_rate, patch_psnr
from search_spaces.path_training import PathChoice, PathTraining, make_path_supernet

_SAVE_SECONDS = 20.0
"""Work that is repeated at worst after a kill."""


@dataclass(frozen=True)
class BuildSettings(Settings):
    """How a table is made; each training step is on one path of the supernet."""

    as_options: ClassVar[bool] = False

    data: str = shared.DATA(EMBEDDED)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(8)
    layers: int = shared.LAYERS(6)
    steps: int = shared.STEPS(3000)
    batch: int = shared.BATCH(8)
    patch: int = shared.PATCH(48)
    learning_rate: float = shared.LEARNING_RATE(2e-3)
    measured_patches: int = shared.MEASURED_PATCHES(16)
    cost_channels: int = shared.CHANNELS(16, help="C of the networks whose multiply-adds are counted")
    seed: int = shared.SEED(0)


def build_table(
    subspace: SubSpace, settings: BuildSettings, path: Path, save_seconds: float = _SAVE_SECONDS
) -> ArchitectureTable:
    """Train the supernet and measure all architectures; go on where an earlier call was interrupted or killed.

    The state of the supernet lies beside the table, and goes when the table is complete. A table that was interrupted
    equals one that was not.

    Parameters
    ----------
    subspace
        The architectures; their positions must fit the layers.
    settings
        How to train and measure.
    path
        The table. One that is there must be of the same architectures and settings.
    save_seconds
        Work that is repeated at worst after a kill, in seconds.

    Raises
    ------
    ValueError
        If the file, or the supernet beside it, is of other architectures or settings.
    FileNotFoundError
        If its folder does not exist.
    """
    if path.exists():
        table = ArchitectureTable.load(path)
        if table.settings != asdict(settings) or table.subspace != subspace:
            raise ValueError(f"{path}: holds a table of other settings; give another name, or remove it")
    else:
        cost = cost_table(settings.scale, settings.cost_channels, settings.layers)
        gmacs = np.array([cost(subspace.genotype(sample)).gmacs for sample in subspace.samples()])
        table = ArchitectureTable(subspace, np.full(len(subspace), np.nan), gmacs, asdict(settings))
    if table.complete:
        return table
    training = SubSpaceTraining(subspace, settings)
    checkpoint = path.with_name(path.name + ".supernet.pt")
    if checkpoint.exists():
        _load(training, checkpoint)
    table.save(path)
    training.run(lambda: save_state(training.state_dict(), checkpoint), save_seconds)
    missing = np.flatnonzero(np.isnan(table.psnr))
    samples = list(subspace.samples())
    saved = time.monotonic()
    for row in tqdm(missing, desc="measuring", unit="architecture", disable=None):
        table.psnr[row] = training.psnr(subspace.genotype(samples[row]))
        if time.monotonic() - saved >= save_seconds:
            table.save(path)
            saved = time.monotonic()
    table.save(path)
    checkpoint.unlink(missing_ok=True)
    return table


class SubSpaceTraining:
    """The supernet's training on a part of the space, and measuring with its weights.

    Parameters
    ----------
    subspace
        The architectures.
    settings
        Sizes, images and training.

    Attributes
    ----------
    supernet
        Runs one architecture at a time.
    step
        Training steps done.
    """

    def __init__(self, subspace: SubSpace, settings: BuildSettings) -> None:
        self.subspace = subspace
        self.settings = settings
        self.step = 0
        self.supernet = make_path_supernet(
            settings.scale, settings.channels, settings.layers, "mean", seed=settings.seed
        )
        self._paths = PathTraining(self.supernet)
        self._choose_path = PathChoice(self.supernet)
        self._draw = random.Random(settings.seed)
        splits = load_splits(settings.data, settings.scale, patch_size=settings.patch, seed=settings.seed)
        self._sampler = PatchSampler(splits.weight, settings.scale, settings.patch, torch.device("cpu"), settings.seed)
        self._measured = fixed_patches(
            splits.controller, settings.scale, settings.patch, settings.measured_patches, seed=0
        )

    def run(self, save: Callable[[], None], save_seconds: float = _SAVE_SECONDS) -> None:
        """Train all architectures to the end, a uniformly drawn one at each step; `save` every so many seconds."""
        first, steps = self.settings.learning_rate, self.settings.steps
        if self.step == steps:
            return
        saved = time.monotonic()
        with tqdm(total=steps, initial=self.step, desc="training", unit="step", disable=None) as progress:
            while self.step < steps:
                free = self.subspace.free.items()
                self._take(self.subspace.genotype({label: self._draw.choice(values) for label, values in free}))
                rate = cosine_learning_rate(self.step / steps, first, first / 100)
                self._paths.step(*self._sampler.sample(self.settings.batch), rate)
                self.step += 1
                progress.update()
                if time.monotonic() - saved >= save_seconds:
                    save()
                    saved = time.monotonic()
        save()

    def psnr(self, genotype: Genotype) -> float:
        """Return an architecture's PSNR on Y, in dB, over the measured patches."""
        self._take(genotype)
        low, high = self._measured
        return patch_psnr(self.supernet, low, high, self.settings.scale, batch=len(low))

    def state_dict(self) -> dict[str, Any]:
        """Return all that the training goes on from exactly; tensors and plain data alone."""
        return {
            "free": {label: list(values) for label, values in self.subspace.free.items()},
            "fixed": dict(self.subspace.fixed),
            "settings": asdict(self.settings),
            "step": self.step,
            "paths": self._paths.state_dict(),
            "patches": self._sampler.state_dict(),
            "draws": self._draw.getstate(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises
        ------
        ValueError
            If the state is of other architectures or settings.
        """
        own = self.state_dict()
        if any(state[name] != own[name] for name in ("free", "fixed", "settings")):
            raise ValueError("is the supernet of another table; remove it")
        self._paths.load_state_dict(state["paths"])
        self._sampler.load_state_dict(state["patches"])
        self._draw.setstate(state["draws"])
        self.step = state["step"]

    def _take(self, genotype: Genotype) -> None:
        self._choose_path(genotype.to_sample())


def _load(training: SubSpaceTraining, path: Path) -> None:
    try:
        training.load_state_dict(torch.load(path, weights_only=True))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
