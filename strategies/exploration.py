"""Drawing architectures that were not tried before."""

from __future__ import annotations

from collections.abc import MutableSet

import torch
from torch import Tensor

from strategies.controller import HierarchicalController
from strategies.tried import Choices

_ATTEMPTS = 20
_FLATTER = 1.25
"""Factor of each attempt; the last one draws from probabilities to the power of 1/70, nearly evenly."""

_CANDIDATES_FROM = (1.0, 50.0)
"""How much flatter than the policy candidates are drawn, as many from each; the second is nearly even."""

_NEIGHBOURS = 4
"""How many times as many candidates are drawn around the best architectures."""


def draw_unseen(
    controller: HierarchicalController, n: int, seen: MutableSet[Choices], generator: torch.Generator | None = None
) -> Tensor:
    """Draw architectures, those tried before drawn again from a flatter and flatter policy.

    A policy that settled proposes what it knows; each trial spent on that is lost to the search. Drawing again leads to
    the neighbourhood of what it settled on, and further away the more of that is known. Where even an almost even draw
    finds nothing new, as in a space that is nearly exhausted, any architecture that is left is taken.

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
        Candidate indices (n, D). An architecture comes again only if all of the space were tried.
    """
    drawn: list[Choices] = []
    for attempt in range(_ATTEMPTS):
        flatten = _FLATTER**attempt
        for row in controller.sample(n - len(drawn), generator, flatten=flatten).choices.tolist():
            choices = tuple(row)
            if attempt == _ATTEMPTS - 1:
                choices = _left_over(controller, choices, seen)
            if choices not in seen or attempt == _ATTEMPTS - 1:
                seen.add(choices)
                drawn.append(choices)
        if len(drawn) == n:
            break
    return torch.tensor(drawn)


def _left_over(controller: HierarchicalController, drawn: Choices, seen: MutableSet[Choices]) -> Choices:
    """Return the first architecture from `drawn` on, in counting order, that was not tried; `drawn` if all were.

    Under a budget it is the first of all that fit.
    """
    layout = controller.layout
    if controller.affordable is not None:
        return next((choices for choices in controller.affordable.enumerate() if choices not in seen), drawn)
    sizes = [len(decision.values) for decision in layout.decisions]
    choices = list(drawn)
    for _ in range(min(len(seen) + 1, layout.size)):
        if tuple(choices) not in seen:
            return tuple(choices)
        for column in reversed(range(len(choices))):
            choices[column] = (choices[column] + 1) % sizes[column]
            if choices[column]:
                break
    return drawn


def draw_candidates(
    controller: HierarchicalController,
    n: int,
    seen: MutableSet[Choices],
    generator: torch.Generator | None = None,
    around: Tensor | None = None,
) -> Tensor:
    """Draw architectures to choose among: from the policy, nearly evenly, and around the best ones.

    Some candidates thus lie where the policy expects good ones, as many keep the choice from getting stuck there, and
    four times as many differ from what is known to be good in one decision (as in the acquisition by mutation of White
    et al., "BANANAS", AAAI 2021, arXiv:1910.11858).

    Parameters
    ----------
    controller
        The policy.
    n
        How many from the policy.
    seen
        What was tried before and is left out; nothing is added.
    generator
        Source of randomness.
    around
        The best architectures so far, candidate indices (k, D); none for the policy's and the even draws alone.

    Returns
    -------
    torch.Tensor
        Candidate indices (m, D), each architecture once; m may be less than 6n, and 0.
    """
    drawn = [controller.sample(n, generator, flatten=flatten).choices for flatten in _CANDIDATES_FROM]
    if around is not None and len(around):
        drawn.append(_neighbours(controller, around, _NEIGHBOURS * n, generator))
    rows = dict.fromkeys(map(tuple, torch.cat(drawn).tolist()))
    unseen = [row for row in rows if row not in seen]
    left = torch.tensor(unseen, dtype=drawn[0].dtype).reshape(-1, drawn[0].shape[1])
    return left if controller.affordable is None or not len(left) else left[controller.affordable.contains(left)]


def _neighbours(
    controller: HierarchicalController, around: Tensor, n: int, generator: torch.Generator | None
) -> Tensor:
    """Draw n architectures that differ in one decision from one of `around`."""
    sizes = torch.tensor([len(decision.values) for decision in controller.layout.decisions])
    free = torch.nonzero(sizes > 1)[:, 0]
    rows = around[torch.randint(len(around), (n,), generator=generator)].clone()
    if len(free):
        columns = free[torch.randint(len(free), (n,), generator=generator)]
        steps = 1 + (torch.rand(n, generator=generator) * (sizes[columns] - 1)).long()
        places = torch.arange(n), columns
        rows[places] = (rows[places] + steps) % sizes[columns]
    return rows
