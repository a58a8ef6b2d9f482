"""The hierarchical controller, its policy gradient, and the doors to NNI that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strategies.controller import Decisions, HierarchicalController, LevelSums
from strategies.layout import Decision, LayoutError, Level, SpaceLayout
from strategies.policy_gradient import SMALL_BUDGET, PolicyGradient

if TYPE_CHECKING:
    from strategies.tuner import HierarchicalTuner

__all__ = [
    "SMALL_BUDGET",
    "Decision",
    "Decisions",
    "HierarchicalController",
    "HierarchicalTuner",
    "LayoutError",
    "Level",
    "LevelSums",
    "PolicyGradient",
    "SpaceLayout",
]


def __getattr__(name: str) -> Any:
    # The controller works without NNI; only the doors to NNI import it.
    if name == "HierarchicalTuner":
        from strategies.tuner import HierarchicalTuner

        return HierarchicalTuner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
