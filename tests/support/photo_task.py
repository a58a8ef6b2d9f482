"""A small super-resolution task on a real photograph, as an evaluator for NNI's strategies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from skimage.data import astronaut
from torch import nn
from torch.utils.data import Subset, TensorDataset

from hnas_nni.data import bicubic_downsample

SCALE = 2


@pytest.fixture(scope="session")
def patches() -> TensorDataset:
    """Return eight pairs of patches, 12x12 and 24x24 pixels, RGB in 0..1."""
    photo = astronaut()
    size = 12 * SCALE
    highs = [photo[row : row + size, 200 : 200 + size] for row in range(0, 8 * size, size)]

    def tensor(images: list[Any]) -> torch.Tensor:
        return torch.stack([torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 for image in images])

    return TensorDataset(tensor([bicubic_downsample(high, SCALE) for high in highs]), tensor(highs))


@pytest.fixture
def make_evaluator(patches: TensorDataset, tmp_path: Path) -> Callable[[], Any]:
    """Return a function that makes an evaluator for one epoch of two training and two validation batches.

    The evaluator's module keeps the batches that it saw, in ``trained`` and ``validated``.
    """
    from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer

    class SuperResolution(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.trained: list[torch.Tensor] = []
            self.validated: list[torch.Tensor] = []

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            low, high = batch
            self.trained.append(low)
            return nn.functional.l1_loss(self.model(low), high)

        def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
            low, high = batch
            self.validated.append(low)
            self.log("default", -nn.functional.l1_loss(self.model(low), high))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    def make() -> Lightning:
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(tmp_path),
        )
        return Lightning(
            SuperResolution(),
            trainer,
            train_dataloaders=DataLoader(Subset(patches, range(4)), batch_size=2),
            val_dataloaders=DataLoader(Subset(patches, range(4, 8)), batch_size=2),
        )

    return make


MINIATURE = {
    "scale": SCALE,
    "patch_size": 24,
    "batch": 2,
    "steps_per_epoch": 3,
    "architectures_per_epoch": 3,
    "measured_patches": 4,
    "limit": 1,
    "seed": 3,
    "accelerator": "cpu",
}
"""Settings of :class:`hnas_nni.trial.evaluator.SuperResolution` with which a search takes seconds."""


@pytest.fixture
def super_resolution() -> Callable[..., Any]:
    """Return a function that makes a miniature ``SuperResolution``; it takes other settings."""
    from hnas_nni.trial.evaluator import SuperResolution

    return lambda **settings: SuperResolution(**{**MINIATURE, **settings})
