"""Settings of controller and policy gradient; free of torch, so that they can be checked before it is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

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


@dataclass(frozen=True)
class PolicySettings:
    """How a controller learns; the defaults are the paper's.

    Parameters
    ----------
    learning_rate
        Of Adam; the paper's is 3e-4.
    entropy_weight
        Weight of the entropy H, in rewards per nat; with `normalize_advantage` in standard deviations of the
        reward.
    position_weight
        Weight of the network level's log-probability and entropy against the cells'; the authors' code has
        10.
    baseline_decay
        Decay of b, in [0, 1).
    gradient_clip
        Largest norm of the gradient (ENAS uses 5); None for no bound.
    normalize_advantage
        Divide R - b by its running standard deviation: all other settings become independent of the reward's
        unit (Andrychowicz et al., "What Matters In On-Policy Reinforcement Learning?", ICLR 2021,
        arXiv:2006.05990).
    elite_size
        Learn from this many best architectures again at each step, 0 for none: priority queue training
        (Abolafia et al., 2018, arXiv:1801.03526). For rewards that stay comparable, as those of separate
        trials do.
    elite_weight
        Weight of the elite's mean log-probability in the objective.
    candidates
        Draw so many architectures from the policy, as many nearly evenly, and four times as many that differ from one
        of the elite in one decision, and propose the one that a model of the rewards so far finds most promising, see
        :class:`strategies.predictor.RewardPredictor`; 1 proposes what the policy draws. For separate trials, which cost
        far more than the model.

    Raises
    ------
    ValueError
        If a setting is of a wrong type or out of range; the message names it.
    """

    learning_rate: float = 3e-4
    entropy_weight: float = 1.0
    position_weight: float = 1.0
    baseline_decay: float = 0.95
    gradient_clip: float | None = 5.0
    normalize_advantage: bool = False
    elite_size: int = 0
    elite_weight: float = 1.0
    candidates: int = 1

    def __post_init__(self) -> None:
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if not (name == "gradient_clip" and value is None) and not (is_number(value) and value > 0):
                raise ValueError(f"{name}: {value!r} is not valid; give a positive number")
        for name in ("entropy_weight", "position_weight", "elite_weight"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise ValueError(f"{name}: {value!r} is not valid; give a number of at least 0")
        if not (is_number(self.baseline_decay) and 0 <= self.baseline_decay < 1):
            raise ValueError(f"baseline_decay: {self.baseline_decay!r} is not valid; give a number in [0, 1)")
        if not isinstance(self.normalize_advantage, bool):
            raise ValueError(f"normalize_advantage: {self.normalize_advantage!r} is not valid; give true or false")
        check_integers(self, elite_size=0, candidates=1)


@dataclass(frozen=True)
class ControllerSettings:
    """What controller a search makes; the same at each door to NNI.

    Parameters
    ----------
    seed
        Of the controller's weights and of the sampling.
    conditioned
        False makes the network level independent of the cells, the paper's ablation.
    hidden_size
        Of the LSTMs.
    levels
        Which choices form which cell, and which are decided last; see :class:`strategies.levels.SpaceChoices`.

    Raises
    ------
    ValueError
        If a setting is of a wrong type or out of range; the message names it.
    """

    seed: int = 0
    conditioned: bool = True
    hidden_size: int = 100
    levels: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.levels is not None:
            from strategies.levels import check_levels

            check_levels(self.levels)
        if type(self.conditioned) is not bool:
            raise ValueError(f"conditioned: {self.conditioned!r} is not valid; give true or false")
        check_integers(self, seed=0, hidden_size=1)


def check_integers(settings: object, **least: int) -> None:
    """Raise ValueError for the first setting that is no integer, or below its least value.

    Parameters
    ----------
    settings
        Has them as attributes.
    **least
        Name -> least value.
    """
    for name, minimum in least.items():
        value = getattr(settings, name)
        if type(value) is not int or value < minimum:
            raise ValueError(f"{name}: {value!r} is not valid; give an integer of at least {minimum}")


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
    known = [field.name for field in fields(PolicySettings)]
    for name in given:
        if name not in known:
            raise ValueError(f"{name}: is unknown; the settings of the learning are {', '.join(sorted(known))}")
    return PolicySettings(**{**defaults, **given})


def is_number(value: object) -> bool:
    """Tell whether a setting is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
