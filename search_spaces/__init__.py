"""The hierarchical super-resolution space as NNI mutables, and as search-space JSON for nnictl.

Importing this package is cheap: torch and NNI are imported when :class:`HNASSpace` is first touched.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from search_spaces.json_file import search_space_path, search_space_text
from search_spaces.labels import decision_labels

if TYPE_CHECKING:
    from search_spaces.compat.experiment import MendedNasExperiment
    from search_spaces.space import HNASSpace, search_space_json

__all__ = [
    "HNASSpace",
    "MendedNasExperiment",
    "decision_labels",
    "search_space_json",
    "search_space_path",
    "search_space_text",
]

_HEAVY = {"HNASSpace": "space", "MendedNasExperiment": "compat.experiment", "search_space_json": "space"}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        # NNI 3.0 looks through all of torch.nn and wonders at what torch put there since.
        warnings.filterwarnings("ignore", message=".* is found to be not a nn.Module", category=RuntimeWarning)
        try:
            module = importlib.import_module(f"search_spaces.{_HEAVY[name]}")
        except ModuleNotFoundError as error:
            if error.name != "pytorch_lightning":
                raise
            raise ModuleNotFoundError(
                f"{name}: NNI's model spaces need PyTorch Lightning; install pytorch-lightning "
                "(or set NNI_FRAMEWORK=none, if no one-shot strategy and no Lightning evaluator is used)",
                name=error.name,
            ) from error
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HEAVY})
