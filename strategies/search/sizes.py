"""What a budget decides of a search with shared weights where the user leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hnas_nni.architecture.spaces import EFFICIENT
from strategies.search.settings import SearchSettings

_LEAST_BLOCKS = 3
"""Of networks whose sizes are chosen here: with fewer, hardly anything is left to search."""


def decided_by_budget(settings: SearchSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a budget decides, but for those that are given.

    The reward is PSNR alone, as what an architecture costs is bounded already. In the efficient space, a supernet of
    which is of one C and L, these are of the widest stack of convolutions that fills the budget, so that the stack is
    among what is searched.

    Parameters
    ----------
    settings
        Of the search.
    given
        Name -> value of what the user gave.

    Raises
    ------
    ValueError
        If the budget's table of times is not one.
    """
    budget = settings.bound()
    if budget is None:
        return {}
    decided: dict[str, Any] = {"reward_lambda": 1.0}
    if settings.space == EFFICIENT.name:
        # It loads torch.
        from hnas_nni.trial.plain_stacks import plain_stacks

        fitting: list[dict[str, Any]] = [
            {"channels": stack.width, "layers": stack.depth}
            for stack in plain_stacks(budget, widths=(given["channels"],) if "channels" in given else EFFICIENT.widths)
            if given.get("layers", stack.depth) == stack.depth
        ]
        deep = [sizes for sizes in fitting if sizes["layers"] >= _LEAST_BLOCKS]
        decided |= (deep or fitting or [{}])[-1]
    return {name: value for name, value in decided.items() if name not in given}
