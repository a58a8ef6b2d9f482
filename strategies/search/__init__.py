"""The weight-sharing search of the paper (Algorithm 1) from a folder of images to ranked genotypes.

Names are loaded when they are first used, so that settings can be checked before torch is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.search.engine import WeightSharingSearch
    from strategies.search.settings import MINIATURE, SearchSettings

_MODULES = {"WeightSharingSearch": "engine", "MINIATURE": "settings", "SearchSettings": "settings"}

__all__ = ["MINIATURE", "SearchSettings", "WeightSharingSearch"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"strategies.search.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
