"""How the trials of a search evaluate architectures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, check_choice, check_images, check_seed


@dataclass(frozen=True)
class TrialSettings:
    """How architectures are evaluated; the same for all trials of a search.

    Parameters
    ----------
    data
        "photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_splits` takes it.
    limit
        At most so many images of each split; 0 for all. A trial decodes its images anew.
    scale, channels, layers
        Sizes of the networks.
    steps
        Training steps on the weight split.
    batch, patch
        Patches in a step, and their side in HR pixels.
    learning_rate
        At the first step; a cosine takes it to a hundredth. Less than the paper's 1e-3, with which a trial of some
        hundred steps loses more of the interpolation that it starts from, or of what earlier trials learnt, than it
        gains.
    measured_patches
        How many patches of the controller split the PSNR is read on.
    reports
        How many times the PSNR is reported on the way.
    first_weights
        One of :data:`hnas_nni.settings.FIRST_WEIGHTS`, for whatever no earlier trial has trained.
    seed
        Decides initial weights and batches, together with the trial's number.
    device
        "auto" (CUDA where present), "cpu" or "cuda".
    threads
        CPU threads of torch; 0 leaves torch's default.
    """

    data: str = EMBEDDED
    limit: int = 0
    scale: int = 2
    channels: int = 8
    layers: int = DEFAULT_LAYERS
    steps: int = 100
    batch: int = 16
    patch: int = 96
    learning_rate: float = 3e-4
    measured_patches: int = 32
    reports: int = 5
    first_weights: str = "interpolation"
    seed: int = 0
    device: str = "auto"
    threads: int = 0

    def check(self) -> None:
        """Check what can be checked without loading torch or an image.

        Raises
        ------
        ValueError
            If a setting is out of range or the data folder is missing; the message names the option.
        """
        for name, least in (
            ("channels", 1),
            ("layers", 2),
            ("steps", 1),
            ("batch", 1),
            ("measured_patches", 1),
            ("reports", 1),
            ("threads", 0),
            ("limit", 0),
        ):
            if getattr(self, name) < least:
                option = "--" + name.replace("_", "-")
                raise ValueError(f"{option}: {getattr(self, name)} is not valid; give at least {least}")
        if self.patch < self.scale or self.patch % self.scale:
            raise ValueError(f"--patch: {self.patch} is not valid; give a multiple of the scale {self.scale}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"--learning-rate: {self.learning_rate} is not valid; give a number above 0")
        check_seed("--seed", self.seed)
        check_choice("--first-weights", self.first_weights, FIRST_WEIGHTS)
        check_images("--data", self.data)
