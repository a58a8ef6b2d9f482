"""Settings of controller and policy gradient; free of torch, so that they can be checked before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS
from hnas_nni.settings import Setting, Settings, shared
from hnas_nni.trial.budget import Budget, budget_of
from strategies.successive_halving import check_rungs

SMALL_BUDGET: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 1e-2,
        "entropy_weight": 0.2,
        "normalize_advantage": True,
        "elite_size": 10,
        "candidates": 64,
    }
)
"""Settings for a search of 50 to 500 trials, chosen by ``benchmarks/synthetic_search.py`` and on tables of
``benchmarks/compare_strategies``."""


CONTROLLER = Setting(
    str,
    "the paper's; its ablation, whose network level does not see the cells; or uniform draws, no learning",
    choices=("hierarchical", "unconditioned", "random"),
    group="controller",
)
GIVE_UP_AFTER = Setting(int, "stop with an error when so many trials failed and none succeeded", least=1)

START_WITH_STACKS = Setting(bool, "under a budget, try the plain stacks that fill it first")
RUNGS = Setting(list, "of successive halving, [[trials, steps], ...]", test=check_rungs, optional=True)

CONTROLLER_LEARNING_RATE = Setting(float, "of Adam", above=0, give="a positive number", group="controller")
ENTROPY_WEIGHT = Setting(float, "of the policy's entropy, in rewards per nat", least=0, group="controller")
POSITION_WEIGHT = Setting(float, "of the position's terms against the cells'", least=0, group="controller")
BASELINE_DECAY = Setting(float, "of the moving average of rewards", least=0, below=1, group="controller")
NORMALIZE_ADVANTAGE = Setting(bool, "divide rewards by their spread", group="controller")


def _check_levels(name: str, levels: Any) -> None:
    from strategies.levels import check_levels

    check_levels(levels)


@dataclass(frozen=True)
class PolicySettings(Settings):
    """How a controller learns; the defaults are the paper's.

    The authors' code has 10 as `position_weight`, ENAS 5 as `gradient_clip`; None is no bound. With
    `normalize_advantage`, R - b is divided by its running standard deviation, and all other settings become independent
    of the reward's unit (Andrychowicz et al., "What Matters In On-Policy Reinforcement Learning?", ICLR 2021,
    arXiv:2006.05990). The elite is priority queue training (Abolafia et al., 2018, arXiv:1801.03526), for rewards that
    stay comparable, as those of separate trials do. `candidates` are as many from the policy, as many nearly evenly
    drawn, and four times as many that differ from one of the elite in one decision; proposed is the one that a model of
    the rewards so far finds most promising, see :class:`strategies.predictor.RewardPredictor`. They are for separate
    trials, which cost far more than the model; 1 proposes what the policy draws.
    """

    as_options: ClassVar[bool] = False

    learning_rate: float = CONTROLLER_LEARNING_RATE(3e-4)
    entropy_weight: float = ENTROPY_WEIGHT(1.0)
    position_weight: float = POSITION_WEIGHT(1.0)
    baseline_decay: float = BASELINE_DECAY(0.95)
    gradient_clip: float | None = Setting(
        float, "largest norm of the gradient", above=0, give="a positive number", optional=True
    )(5.0)
    normalize_advantage: bool = NORMALIZE_ADVANTAGE(False)
    elite_size: int = Setting(int, "learn from so many best architectures again at each step", least=0)(0)
    elite_weight: float = Setting(float, "of the elite's mean log-probability in the objective", least=0)(1.0)
    candidates: int = Setting(int, "architectures of which the most promising is proposed", least=1)(1)


@dataclass(frozen=True)
class ControllerSettings(Settings):
    """What controller a search makes; the same at each door to NNI."""

    as_options: ClassVar[bool] = False

    seed: int = shared.SEED(0, help="of the controller's weights and of the sampling", most=None)
    conditioned: bool = Setting(bool, "false makes the network level independent of the cells, the ablation")(True)
    hidden_size: int = Setting(int, "of the LSTMs", least=1)(100)
    levels: Mapping[str, Any] | None = Setting(
        dict, "which choices form which cell, and which come last, see SpaceChoices", test=_check_levels
    )(None)


@dataclass(frozen=True)
class BudgetSettings(Settings):
    """The most that an architecture may cost; the same at each door to NNI.

    Sizes are those of the trials' networks: `scale`, and C and L where the space leaves them open.
    """

    as_options: ClassVar[bool] = False

    budget: float | None = shared.BUDGET(None)
    budget_params: float | None = shared.BUDGET_PARAMS(None)
    budget_ms: float | None = shared.BUDGET_MS(None)
    latency: str | None = shared.LATENCY(None)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(DEFAULT_CHANNELS)
    layers: int = shared.LAYERS(DEFAULT_LAYERS)

    def bound(self) -> Budget | None:
        """Return the budget, None if there is none."""
        return budget_of(self)


def learning_settings(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> PolicySettings:
    """Return how a controller learns, from what a user gave.

    Parameters
    ----------
    given
        Name -> value.
    defaults
        Of what was not given, where they are not the paper's.

    Raises
    ------
    ValueError
        If a setting is unknown, of a wrong type or out of range; the message names it.
    """
    known = PolicySettings.stated()
    for name in given:
        if name not in known:
            raise ValueError(f"{name}: is unknown; the settings of the learning are {', '.join(sorted(known))}")
    return PolicySettings(**{**defaults, **given})
