"""Settings of a weight-sharing search; free of torch, so that they can be checked before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.settings import EMBEDDED, Setting, Settings, shared
from hnas_nni.trial.budget import Budget, budget_of
from hnas_nni.trial.reward import JointReward
from search_spaces.settings import NORMALIZATION, SPACE
from strategies.settings import (
    BASELINE_DECAY,
    CONTROLLER,
    CONTROLLER_LEARNING_RATE,
    ENTROPY_WEIGHT,
    NORMALIZE_ADVANTAGE,
    POSITION_WEIGHT,
    PolicySettings,
)

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
class SearchSettings(Settings):
    """Everything that decides a search; the defaults are the paper's at its scale (section III-A).

    `data` are folders of images as :func:`hnas_nni.data.load_splits` takes them; the paper chooses on Set5. With
    `normalization` "batch", as in the authors' code, shared weights learn much more slowly. Costs are those of the
    searched sizes. The learning rate of the weights goes down by a cosine over all epochs. One pass over the paper's
    splits is 20 weight steps and 30 controller steps of 16 patches; 4 architectures on 4 patches cost what the paper's
    1 on 16 costs. A micro-batch gives the same result in less memory; 0 is all on a GPU, and on a CPU as many patches
    as have the pixels of four of 96; batch norm needs all. The settings of the learning are as for
    :class:`strategies.PolicySettings`, `relative` is as for :class:`strategies.supernet_policy.SupernetPolicy`. Results
    on the CPU are the same for the same number of threads.
    """

    data: tuple[str, ...] = shared.DATA(
        (EMBEDDED,), help='folders of images, or "embedded:photos" for those that come along'
    )
    validation: str | None = shared.VALIDATION(
        None, help="images that architectures are chosen on; left out: a tenth of the data, held out"
    )
    skip_unusable: bool = shared.SKIP_UNUSABLE(False)
    limit: int = shared.LIMIT(0)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(8)
    layers: int = shared.LAYERS(DEFAULT_LAYERS)
    space: str = SPACE(PAPER.name, help="search space: the paper's, or the efficient one")
    normalization: str = NORMALIZATION("mean", help=f"{NORMALIZATION.help}; in the efficient space always none")
    budget: float | None = shared.BUDGET(None)
    budget_params: float | None = shared.BUDGET_PARAMS(None)
    budget_ms: float | None = shared.BUDGET_MS(None)
    latency: str | None = shared.LATENCY(None)
    reward_lambda: float = shared.REWARD_LAMBDA(JointReward.weight)
    cost_scale: float = shared.COST_SCALE(JointReward.cost_scale)
    epochs: int = shared.EPOCHS(400, help="turns of weights and controller")
    warmup_epochs: int = Setting(
        int,
        "first epochs without learning of the controller; a third of --epochs in miniature",
        least=0,
        group="training",
    )(0)
    weight_steps: int = shared.STEPS(20, help="steps of the weights in an epoch")
    batch: int = shared.BATCH(16, help="patches in a step of the weights")
    patch: int = shared.PATCH(96)
    micro_batch: int = Setting(
        int,
        "patches of a step that run at once, in less memory; 0 for what is best on the device",
        least=0,
        group="training",
    )(0)
    learning_rate: float = shared.LEARNING_RATE(1e-3, help="of the weights at the first step; a cosine takes it down")
    last_learning_rate: float = shared.LEARNING_RATE(1e-5, help="of the weights at the last step")
    controller_steps: int = Setting(int, "steps of the controller in an epoch", least=0, group="controller")(30)
    architectures: int = Setting(int, "architectures in a step of the controller", least=1, group="controller")(4)
    controller_batch: int = Setting(int, "patches that each of them is measured on", least=1, group="controller")(4)
    controller: str = CONTROLLER("hierarchical")
    controller_learning_rate: float = CONTROLLER_LEARNING_RATE(3e-4)
    entropy_weight: float = ENTROPY_WEIGHT(1.0)
    position_weight: float = POSITION_WEIGHT(10.0)
    baseline_decay: float = BASELINE_DECAY(0.95)
    normalize_advantage: bool = NORMALIZE_ADVANTAGE(False)
    relative: bool = Setting(bool, "compare rewards within a step too", negatable=True, group="controller")(False)
    validation_architectures: int = Setting(int, "architectures measured after each epoch", least=1, group="result")(2)
    candidates: int = Setting(int, "architectures drawn and ranked at the end", least=1, group="result")(50)
    rank_by: str = Setting(
        str,
        "joint reward on the validation images, or psnr as in the paper",
        choices=("reward", "psnr"),
        group="result",
    )("reward")
    seed: int = shared.SEED(0)
    device: str = shared.DEVICE("auto")
    precision: str = shared.PRECISION(
        "32", help="of numbers; bf16 by automatic mixed precision", choices=("32", "bf16")
    )
    threads: int = shared.THREADS(0)

    def check(self) -> None:
        """Check each setting, and what they ask of each other.

        Raises
        ------
        ValueError
            If one is not valid.
        """
        super().check()
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"--warmup-epochs: {self.warmup_epochs} are more than the {self.epochs} --epochs")
        if self.relative and self.architectures < 2:
            raise ValueError("--relative: compares the architectures of a step; give at least 2 --architectures")

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

    @property
    def supernet_normalization(self) -> str:
        """What keeps the supernet's features at one scale; the efficient space needs nothing."""
        return self.normalization if self.space == PAPER.name else "none"

    def bound(self) -> Budget | None:
        """Return the budget, None if there is none."""
        return budget_of(self)

    def reward(self) -> JointReward:
        """Return the joint reward."""
        return JointReward(self.reward_lambda, self.cost_scale)
