"""Measuring every architecture of a part of the space with the shared weights of one supernet.

The supernet is trained by uniform path sampling (Guo et al., "Single Path One-Shot Neural Architecture Search with
Uniform Sampling", ECCV 2020, arXiv:1904.00420); every architecture is then a path of it, and is measured as it is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.strategy import RandomOneShot
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from hnas_nni.cost import cost_table
from hnas_nni.data import PatchSampler, fixed_patches, load_splits
from hnas_nni.files import replacing
from hnas_nni.genotype import Genotype
from hnas_nni.training import Adam, cosine_learning_rate, patch_psnr, training_step
from search_spaces.architecture_table import ArchitectureTable, SubSpace
from search_spaces.space import HNASSpace

_SAVE_EVERY = 200
"""Architectures that are measured again at worst after a kill."""


@dataclass(frozen=True)
class BuildSettings:
    """How a table is made.

    Parameters
    ----------
    data
        "photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_splits` takes it.
    scale, channels, layers
        Sizes of the networks.
    steps
        Training steps of the supernet, each on one path.
    batch, patch
        Patches in a step, and their side in HR pixels.
    learning_rate
        At the first step; a cosine takes it to a hundredth.
    measured_patches
        How many patches of the controller split the PSNR is read on.
    cost_channels
        C of the networks whose multiply-adds are counted, for a search in narrow networks for wider ones.
    seed
        Of weights, paths and batches.
    """

    data: str = "photos"
    scale: int = 2
    channels: int = 4
    layers: int = 6
    steps: int = 3000
    batch: int = 8
    patch: int = 48
    learning_rate: float = 2e-3
    measured_patches: int = 16
    cost_channels: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "measured_patches", "cost_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not valid; give at least 1")


def build_table(subspace: SubSpace, settings: BuildSettings, path: Path) -> ArchitectureTable:
    """Train the supernet and measure all architectures; go on where an earlier call was interrupted.

    Once it is trained, the supernet lies beside the table, and goes when the table is complete.

    Parameters
    ----------
    subspace
        The architectures; their positions must fit the layers.
    settings
        How to train and measure.
    path
        The table. One that is there must be of the same architectures and settings.

    Raises
    ------
    ValueError
        If the file holds another table.
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
    supernet = Supernet(settings)
    weights = path.with_name(path.name + ".supernet.safetensors")
    if weights.exists():
        supernet.network.load_state_dict(load_file(weights))
    else:
        supernet.train(subspace)
        with replacing(weights) as temporary:
            state = supernet.network.state_dict()
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)
        table.save(path)
    missing = np.flatnonzero(np.isnan(table.psnr))
    samples = list(subspace.samples())
    for done, row in enumerate(tqdm(missing, desc="measuring", unit="architecture", disable=None), start=1):
        table.psnr[row] = supernet.psnr(subspace.genotype(samples[row]))
        if done % _SAVE_EVERY == 0 or done == len(missing):
            table.save(path)
    weights.unlink(missing_ok=True)
    return table


class Supernet:
    """All networks of the space with shared weights, one of them at a time.

    Parameters
    ----------
    settings
        Sizes, images and training.
    """

    def __init__(self, settings: BuildSettings) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        space = HNASSpace(settings.scale, settings.channels, settings.layers)
        self.network: nn.Module = RandomOneShot().mutate_model(space)
        self._choices = [module for module in self.network.modules() if isinstance(module, BaseSuperNetModule)]
        splits = load_splits(settings.data, settings.scale, patch_size=settings.patch, seed=settings.seed)
        self._sampler = PatchSampler(splits.weight, settings.scale, settings.patch, torch.device("cpu"), settings.seed)
        self._measured = fixed_patches(
            splits.controller, settings.scale, settings.patch, settings.measured_patches, seed=0
        )

    def take(self, genotype: Genotype) -> None:
        """Run this architecture from now on."""
        sample: Mapping[str, Any] = genotype.to_sample()
        for module in self._choices:
            module.resample(dict(sample))

    def train(self, subspace: SubSpace) -> None:
        """Train all architectures of a part of the space, a uniformly drawn one at each step."""
        draw, optimizer, steps = random.Random(self.settings.seed), Adam(), self.settings.steps
        first = self.settings.learning_rate
        for step in tqdm(range(steps), desc="training", unit="step", disable=None):
            self.take(subspace.genotype({label: draw.choice(values) for label, values in subspace.free.items()}))
            rate = cosine_learning_rate(step / steps, first, first / 100)
            training_step(self.network, optimizer, *self._sampler.sample(self.settings.batch), rate)

    def psnr(self, genotype: Genotype) -> float:
        """Return an architecture's PSNR on Y, in dB, over the measured patches."""
        self.take(genotype)
        low, high = self._measured
        return patch_psnr(self.network, low, high, self.settings.scale, batch=len(low))
