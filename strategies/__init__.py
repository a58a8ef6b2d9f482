"""The hierarchical controller, its policy gradient, and the doors to NNI that use them."""

from strategies.controller import Decisions, HierarchicalController, LevelSums
from strategies.layout import Decision, LayoutError, Level, SpaceLayout
from strategies.policy_gradient import SMALL_BUDGET, PolicyGradient

__all__ = [
    "SMALL_BUDGET",
    "Decision",
    "Decisions",
    "HierarchicalController",
    "LayoutError",
    "Level",
    "LevelSums",
    "PolicyGradient",
    "SpaceLayout",
]
