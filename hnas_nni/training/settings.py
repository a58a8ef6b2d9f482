"""The settings of a training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, Setting, Settings, shared


def _check_model_file(name: str, path: str) -> None:
    if not Path(path).is_file():
        raise ValueError(f"{name}: {path}: no such file; give a model file (.safetensors)")


MINIATURE: Mapping[str, Any] = MappingProxyType(
    {"channels": 8, "layers": 6, "epochs": 20, "steps_per_epoch": 200, "batch": 8, "patch": 48}
)
"""What a training in minutes on a CPU differs by."""


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How an architecture is trained; the defaults are the paper's final training (section III-A).

    The paper leaves the length open; the default is that of EDSR (Lim et al., 2017), 300 epochs of 1000 steps.

    `data` and `validation` are folders as :func:`hnas_nni.data.load_pairs` takes them. Without `validation` nothing is
    measured, but for "embedded:photos", of which two are held out. Of the moving average of the weights is what is
    measured and saved. From random first weights, as the authors' code has them, a short training often gets nowhere.
    Weights in `init` of other shapes, as those that depend on the scale, start anew.
    """

    data: tuple[str, ...] = shared.DATA(
        (EMBEDDED,), help='folders of training images: HR, or LR and HR; "embedded:photos" for the few that come along'
    )
    validation: str | None = shared.VALIDATION(None, help="images to measure after each epoch, e.g. Set5")
    skip_unusable: bool = shared.SKIP_UNUSABLE(False)
    smaller_copies: bool = shared.SMALLER_COPIES(False)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(64)
    layers: int = shared.LAYERS(DEFAULT_LAYERS)
    epochs: int = shared.EPOCHS(300)
    steps_per_epoch: int = shared.STEPS_PER_EPOCH(1000)
    batch: int = shared.BATCH(16, help="patches in a step, on all devices together")
    patch: int = shared.PATCH(96)
    learning_rate: float = shared.LEARNING_RATE(1e-3)
    warm_up: float = Setting(
        float,
        "share of the steps over which the learning rate climbs, 0 for none",
        least=0,
        below=1,
        give="a number from 0 (none) to below 1, e.g. 0.05",
        group="training",
    )(0.0)
    validate_every: int = Setting(
        int, "epochs between two measurements; the last one is always measured", least=1, group="training"
    )(1)
    ema: float = Setting(
        float,
        "decay of a moving average of the weights, 0 for none",
        least=0,
        below=1,
        give="a number from 0 (none) to below 1, e.g. 0.999",
        group="training",
    )(0.0)
    first_weights: str = FIRST_WEIGHTS("interpolation")
    init: str | None = Setting(
        str,
        "start from the weights of a model file of the same architecture",
        test=_check_model_file,
        locate=lambda path: os.path.realpath(os.path.expanduser(path)),
        metavar="FILE",
        group="training",
    )(None)
    seed: int = shared.SEED(0, help="decides initial weights and patches")
    precision: str = shared.PRECISION("32")
