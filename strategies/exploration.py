"""Drawing architectures that were not tried before."""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.controller import HierarchicalController

Choices = tuple[int, ...]
"""An architecture as candidate indices, one for each decision."""

_ATTEMPTS = 20
_FLATTER = 1.25
"""Factor of each attempt; the last one draws from probabilities to the power of 1/70, nearly evenly."""

_CANDIDATES_FROM = (1.0, 50.0)
"""How much flatter than the policy candidates are drawn, as many from each; the second is nearly even."""


def draw_unseen(
    controller: HierarchicalController, n: int, seen: set[Choices], generator: torch.Generator | None = None
) -> Tensor:
    """Draw architectures, those tried before drawn again from a flatter and flatter policy.

    A policy that settled proposes what it knows; each trial spent on that is lost to the search. Drawing again leads to
    the neighbourhood of what it settled on, and further away the more of that is known.

    Parameters
    ----------
    controller
        The policy.
    n
        How many.
    seen
        What was tried before; what is drawn is added.
    generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Candidate indices (n, D). Where even an almost even draw finds nothing new, as in a space that is nearly
        exhausted, an architecture comes again.
    """
    drawn: list[Choices] = []
    for attempt in range(_ATTEMPTS):
        flatten = _FLATTER**attempt
        for row in controller.sample(n - len(drawn), generator, flatten=flatten).choices.tolist():
            choices = tuple(row)
            if choices not in seen or attempt == _ATTEMPTS - 1:
                seen.add(choices)
                drawn.append(choices)
        if len(drawn) == n:
            break
    return torch.tensor(drawn)


def draw_candidates(
    controller: HierarchicalController, n: int, seen: set[Choices], generator: torch.Generator | None = None
) -> Tensor:
    """Draw architectures to choose among, half from the policy and half nearly evenly.

    Half the candidates thus lie where the policy expects good ones, and the others keep the choice from getting stuck
    there.

    Parameters
    ----------
    controller
        The policy.
    n
        How many from each.
    seen
        What was tried before and is left out; nothing is added.
    generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Candidate indices (m, D), each architecture once; m may be less than 2n, and 0.
    """
    drawn = torch.cat([controller.sample(n, generator, flatten=flatten).choices for flatten in _CANDIDATES_FROM])
    rows = dict.fromkeys(map(tuple, drawn.tolist()))
    return torch.tensor([row for row in rows if row not in seen], dtype=drawn.dtype).reshape(-1, drawn.shape[1])
