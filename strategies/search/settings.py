"""Settings of a weight-sharing search; free of torch, so that they can be checked before it is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, absolute_images, check_choice, check_images, check_seed
from hnas_nni.trial.reward import JointReward
from strategies.settings import PolicySettings

PRECISIONS = ("32", "bf16")
NORMALIZATIONS = ("mean", "none", "batch")
RANKINGS = ("reward", "psnr")
DEVICES = ("auto", "cpu", "cuda")

MINIATURE: Mapping[str, Any] = MappingProxyType(
    {
        "layers": 6,
        "cost_scale": 0.5,
        "batch": 8,
        "patch": 32,
        "epochs": 30,
        "warmup_epochs": 10,
        "weight_steps": 50,
        "learning_rate": 6e-4,
        "controller_steps": 20,
        "controller_batch": 4,
        "architectures": 4,
        "controller_learning_rate": 3e-3,
        "entropy_weight": 0.05,
        "position_weight": 1.0,
        "relative": True,
        "validation_architectures": 1,
        "candidates": 30,
    }
)
"""What a search in minutes on a CPU differs by: a small supernet, a policy that moves in some hundred steps, and
multiply-adds that weigh more, as there are far fewer of them."""


@dataclass(frozen=True)
class SearchSettings:
    """Everything that decides a search; the defaults are the paper's at its scale (section III-A).

    Parameters
    ----------
    data
        Folders of images for the search, as :func:`hnas_nni.data.load_splits` takes them; "photos" for the embedded
        photographs.
    validation
        Folder of the images that architectures are chosen on, Set5 in the paper; None holds out a tenth of `data`.
    limit
        At most so many images in each split; 0 for all.
    scale, channels, layers
        Sizes of the supernet.
    normalization
        As for :class:`search_spaces.HNASSpace`: "mean", "none", or "batch" as in the authors' code, with which shared
        weights learn much more slowly.
    reward_lambda, cost_scale
        As for :class:`hnas_nni.trial.reward.JointReward`; costs are those of the searched sizes.
    epochs
        How often weights and controller take turns. The learning rate of the weights goes down by a cosine over all.
    warmup_epochs
        First epochs in which the controller does not learn.
    weight_steps, controller_steps
        Steps in an epoch. One pass over the paper's splits is 20 and 30 batches of 16.
    batch, patch
        Patches in a weight step, and their side in HR pixels.
    micro_batch
        At most so many patches of a weight step run through the supernet at once, with the same result in less memory;
        0 for all on a GPU, and on a CPU as many as have the pixels of four patches of 96. Batch norm needs all.
    architectures, controller_batch
        Architectures in a controller step, and the patches that all of them are measured on. 4 architectures on 4
        patches cost what the paper's 1 on 16 costs.
    learning_rate, last_learning_rate
        Of the weights at the first and the last step.
    controller_learning_rate, entropy_weight, position_weight, baseline_decay, normalize_advantage
        As for :class:`strategies.PolicySettings`. The authors' code weighs the position ten times.
    relative
        As for :class:`strategies.supernet_policy.SupernetPolicy`.
    controller
        "hierarchical" (the paper's), "unconditioned" (its ablation) or "random" (uniform, learns nothing).
    validation_architectures
        Architectures drawn from the policy and measured on the validation images after each epoch.
    candidates
        Architectures drawn from the final policy and measured on the validation images; the best of them is the result.
    rank_by
        "reward" (joint reward on the validation images) or "psnr", as in the paper.
    seed
        Decides everything random.
    device
        "auto" (CUDA where present), "cpu" or "cuda".
    precision
        "32", or "bf16" for automatic mixed precision.
    threads
        CPU threads of torch; 0 leaves torch's default. Results on the CPU are the same for the same number.
    skip_unusable
        Leave images out, with a warning, that can't be read or are too small, instead of refusing them.
    """

    data: tuple[str, ...] = (EMBEDDED,)
    validation: str | None = None
    limit: int = 0
    scale: int = 2
    channels: int = 8
    layers: int = DEFAULT_LAYERS
    normalization: str = "mean"
    reward_lambda: float = 0.6
    cost_scale: float = 0.05
    epochs: int = 400
    warmup_epochs: int = 0
    weight_steps: int = 20
    controller_steps: int = 30
    batch: int = 16
    patch: int = 96
    micro_batch: int = 0
    architectures: int = 4
    controller_batch: int = 4
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    controller_learning_rate: float = 3e-4
    entropy_weight: float = 1.0
    position_weight: float = 10.0
    baseline_decay: float = 0.95
    normalize_advantage: bool = False
    relative: bool = False
    controller: str = "hierarchical"
    validation_architectures: int = 2
    candidates: int = 50
    rank_by: str = "reward"
    seed: int = 0
    device: str = "auto"
    precision: str = "32"
    threads: int = 0
    skip_unusable: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{option(name)}: {value!r} is not valid; give a whole number of at least {least}")
        for name in ("learning_rate", "last_learning_rate"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{option(name)}: {value!r} is not valid; give a number above 0")
        for name, valid in (
            ("controller", ("hierarchical", "unconditioned", "random")),
            ("rank_by", RANKINGS),
            ("device", DEVICES),
            ("precision", PRECISIONS),
            ("normalization", NORMALIZATIONS),
        ):
            check_choice(option(name), getattr(self, name), valid)
        check_seed("--seed", self.seed)
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"--warmup-epochs: {self.warmup_epochs} are more than the {self.epochs} --epochs")
        if self.scale not in (2, 3, 4):
            raise ValueError(f"--scale: {self.scale!r} is not valid; give 2, 3 or 4")
        if self.patch < self.scale or self.patch % self.scale:
            raise ValueError(f"--patch: {self.patch} is not valid; give a multiple of the scale {self.scale}")
        if not self.data:
            raise ValueError('--data: give at least one folder of images, or "photos"')
        if self.relative and self.architectures < 2:
            raise ValueError("--relative: compares the architectures of a step; give at least 2 --architectures")
        try:
            self.policy(), self.reward()
        except ValueError as error:
            raise ValueError(f"--{str(error).replace('_', '-', 1)}") from None

    @classmethod
    def miniature(cls, **given: Any) -> SearchSettings:
        """Return the settings of a search in minutes on a CPU, :data:`MINIATURE` but for those that are given.

        Where a number of epochs is given, the controller waits for the same share of them.
        """
        defaults = dict(MINIATURE)
        if "epochs" in given:
            defaults["warmup_epochs"] = given["epochs"] * MINIATURE["warmup_epochs"] // MINIATURE["epochs"]
        return cls(**{**defaults, **given})

    def policy(self) -> PolicySettings:
        """Return how the controller learns."""
        return PolicySettings(
            learning_rate=self.controller_learning_rate,
            entropy_weight=self.entropy_weight,
            position_weight=self.position_weight,
            baseline_decay=self.baseline_decay,
            normalize_advantage=self.normalize_advantage,
        )

    def reward(self) -> JointReward:
        """Return the joint reward."""
        return JointReward(self.reward_lambda, self.cost_scale)

    def located(self) -> SearchSettings:
        """Return the settings with absolute folders, so that a search can be gone on with from any folder.

        They are checked to be there, before torch is loaded.

        Raises
        ------
        ValueError
            If one is missing.
        """
        for name, folders in (("data", self.data), ("validation", (self.validation,) if self.validation else ())):
            for folder in folders:
                check_images(f"--{name}", folder)
        validation = None if self.validation is None else absolute_images(self.validation)
        return replace(self, data=tuple(map(absolute_images, self.data)), validation=validation)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready data."""
        return {**asdict(self), "data": list(self.data)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> SearchSettings:
        """Return the settings that :meth:`to_dict` gave.

        Raises
        ------
        ValueError
            If a setting is unknown or out of range.
        """
        unknown = set(settings) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"settings: {', '.join(sorted(unknown))} are unknown to this version")
        return cls(**{**settings, "data": tuple(settings.get("data", cls.data))})


_LEAST = {
    "limit": 0,
    "channels": 1,
    "layers": 2,
    "epochs": 1,
    "warmup_epochs": 0,
    "weight_steps": 1,
    "controller_steps": 0,
    "batch": 1,
    "patch": 1,
    "micro_batch": 0,
    "architectures": 1,
    "controller_batch": 1,
    "validation_architectures": 1,
    "candidates": 1,
    "threads": 0,
}


def option(name: str) -> str:
    """Return the command-line option of a setting."""
    return "--lambda" if name == "reward_lambda" else "--" + name.replace("_", "-")
