"""The hierarchical controller, its policy gradient, and the doors to NNI that use them.

Names are loaded when they are first used: the tuner must answer NNI within seconds of its start, before torch could be
loaded on a busy machine, and the controller works without NNI.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.controller import Decisions, HierarchicalController, LevelSums
    from strategies.layout import Decision, LayoutError, Level, SpaceLayout
    from strategies.multi_trial import HierarchicalRL
    from strategies.one_shot import HierarchicalOneShot
    from strategies.policy_gradient import PolicyGradient
    from strategies.settings import SMALL_BUDGET, PolicySettings
    from strategies.tuner import HierarchicalTuner

_MODULES = {
    "Decisions": "controller",
    "HierarchicalController": "controller",
    "LevelSums": "controller",
    "Decision": "layout",
    "LayoutError": "layout",
    "Level": "layout",
    "SpaceLayout": "layout",
    "PolicyGradient": "policy_gradient",
    "SMALL_BUDGET": "settings",
    "PolicySettings": "settings",
    "HierarchicalRL": "multi_trial",
    "HierarchicalOneShot": "one_shot",
    "HierarchicalTuner": "tuner",
}

__all__ = [
    "SMALL_BUDGET",
    "Decision",
    "Decisions",
    "HierarchicalController",
    "HierarchicalOneShot",
    "HierarchicalRL",
    "HierarchicalTuner",
    "LayoutError",
    "Level",
    "LevelSums",
    "PolicyGradient",
    "PolicySettings",
    "SpaceLayout",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"strategies.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
