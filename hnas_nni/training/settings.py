"""The settings of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, check_choice, check_images, check_seed

PRECISIONS = ("32", "16", "bf16")
"""Number formats that a training may use; those of 16 bits by automatic mixed precision."""


@dataclass(frozen=True)
class TrainingSettings:
    """How an architecture is trained; the defaults are the paper's final training (section III-A).

    The paper leaves the length open; the default is that of EDSR (Lim et al., 2017), 300 epochs of 1000 steps.

    Parameters
    ----------
    data
        Folders of training images as :func:`hnas_nni.data.load_pairs` takes them, or "photos" for the embedded ones.
    validation
        Folder of images that are measured, for example Set5; None measures nothing, but for "photos", of which two
        are held out.
    scale, channels, layers
        Sizes of the network.
    epochs, steps_per_epoch
        Length of the training.
    batch
        Patches in a step, on all devices together.
    patch
        Side of a patch in HR pixels, a multiple of the scale.
    learning_rate
        At the first step; a cosine takes it to a hundredth.
    validate_every
        Epochs between two measurements; the last epoch is always measured.
    seed
        Decides initial weights and patches.
    precision
        One of :data:`PRECISIONS`.
    ema
        Decay of an exponential moving average of the weights, which is then what is measured and saved; 0 for none.
    first_weights
        One of :data:`FIRST_WEIGHTS`. The authors' code has torch's, from which a short training often gets nowhere.
    init
        Model file of the same architecture to start from, or None. Weights of other shapes, as those that depend on
        the scale, start anew.
    skip_unusable
        Leave images out, with a warning, that can't be read or are too small, instead of refusing them.
    """

    data: tuple[str, ...] = (EMBEDDED,)
    validation: str | None = None
    scale: int = 2
    channels: int = 64
    layers: int = DEFAULT_LAYERS
    epochs: int = 300
    steps_per_epoch: int = 1000
    batch: int = 16
    patch: int = 96
    learning_rate: float = 1e-3
    validate_every: int = 1
    seed: int = 0
    precision: str = "32"
    ema: float = 0.0
    first_weights: str = "interpolation"
    init: str | None = None
    skip_unusable: bool = False

    def check(self) -> None:
        """Check what can be checked without loading torch or an image.

        Raises
        ------
        ValueError
            If a setting is out of range or a folder or file is missing; the message names the option.
        """
        least = {"channels": 1, "layers": 2}
        least |= dict.fromkeys(("epochs", "steps_per_epoch", "batch", "validate_every"), 1)
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ValueError(f"{option(name)}: {getattr(self, name)} is not valid; give at least {minimum}")
        if self.patch < self.scale or self.patch % self.scale:
            raise ValueError(f"--patch: {self.patch} is not valid; give a multiple of the scale {self.scale}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"--learning-rate: {self.learning_rate} is not valid; give a number above 0")
        if not 0 <= self.ema < 1:
            raise ValueError(f"--ema: {self.ema} is not valid; give a number from 0 (none) to below 1, e.g. 0.999")
        check_seed("--seed", self.seed)
        check_choice("--precision", self.precision, PRECISIONS)
        check_choice("--first-weights", self.first_weights, FIRST_WEIGHTS)
        for name, folders in (("data", self.data), ("validation", (self.validation,))):
            for folder in folders:
                check_images(f"--{name}", folder)
        if self.init is not None and not Path(self.init).is_file():
            raise ValueError(f"--init: {self.init}: no such file; give a model file (.safetensors)")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {**asdict(self), "data": list(self.data)}


def option(name: str) -> str:
    """Return the command-line option of a setting."""
    return "--" + name.replace("_", "-")
