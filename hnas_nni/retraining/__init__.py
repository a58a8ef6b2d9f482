"""Training one architecture to the end, with PyTorch Lightning.

Importing this package loads neither torch nor Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.retraining.settings import TrainingSettings

if TYPE_CHECKING:
    from hnas_nni.retraining.run import Training, train

__all__ = ["Training", "TrainingSettings", "train"]


def __getattr__(name: str) -> Any:
    if name in {"Training", "train"}:
        from hnas_nni.retraining import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
