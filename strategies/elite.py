"""The best architectures so far, to learn from again (Abolafia et al., 2018, arXiv:1801.03526)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class EliteMemory:
    """Remember the architectures with the highest rewards, each once.

    Parameters
    ----------
    size
        How many to remember; 0 for none.

    Raises
    ------
    ValueError
        If `size` is not an integer of at least 0.
    """

    def __init__(self, size: int) -> None:
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"elite_size: {size!r} is not valid; give an integer of at least 0")
        self.size = size
        self._rewards: dict[tuple[int, ...], float] = {}

    def __len__(self) -> int:
        return len(self._rewards)

    def add(self, choices: Tensor, rewards: Tensor) -> None:
        """Take in architectures (n, D) and rewards (n,); a reward measured again replaces the old one."""
        if self.size:
            self._rewards |= zip(map(tuple, choices.tolist()), rewards.tolist(), strict=True)
            best = sorted(self._rewards.items(), key=lambda entry: entry[1], reverse=True)
            self._rewards = dict(best[: self.size])

    def choices(self, like: Tensor) -> Tensor:
        """Return the remembered architectures, best first, shape (k, D), of the kind of `like` (n, D)."""
        if not self._rewards:
            return like[:0]
        return torch.tensor(list(self._rewards), dtype=like.dtype, device=like.device)

    def best(self) -> Tensor:
        """Return the remembered architectures, best first, candidate indices (k, D) on the CPU; (0,) for none."""
        return torch.tensor(list(self._rewards), dtype=torch.int64)

    def state_dict(self) -> dict[str, Any]:
        """Return the architectures, best first, and their rewards as plain lists."""
        return {"choices": [list(row) for row in self._rewards], "rewards": list(self._rewards.values())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; a smaller memory keeps the best."""
        entries = zip(map(tuple, state["choices"]), state["rewards"], strict=True)
        self._rewards = dict(list(entries)[: self.size])
