"""Pieces of small search spaces."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from strategies.layout import SpaceLayout


def choice(*values: Any) -> dict[str, Any]:
    """A choice as nnictl's JSON has it."""
    return {"_type": "choice", "_value": list(values)}


def every_choice(layout: SpaceLayout) -> torch.Tensor:
    """All architectures of a space, candidate indices (n, D)."""
    return torch.tensor(list(itertools.product(*(range(len(d.values)) for d in layout.decisions))))
