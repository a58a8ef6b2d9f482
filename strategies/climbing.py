"""How a search by successive halving asks its controller; what the tuner and the multi-trial strategy share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnas_nni.trial.parameters import Stage
from strategies.successive_halving import SuccessiveHalving

if TYPE_CHECKING:
    from strategies.agent import SearchAgent


def architecture_key(sample: Mapping[str, Any]) -> str:
    """Return the text that successive halving knows an architecture by."""
    return json.dumps(sample, sort_keys=True)


def keep_first_proposals(halving: SuccessiveHalving, agent: SearchAgent) -> None:
    """Give the best of what the agent proposes first, the plain stacks, a place in every rung of several trials."""
    halving.floor = frozenset(map(architecture_key, agent.first_proposals))


def climb(halving: SuccessiveHalving, agent: SearchAgent) -> tuple[dict[str, Any], Stage] | None:
    """Return what to try next, and note it as running; None when all is under way.

    Returns
    -------
    sample, stage
        The architecture, label -> value: a new one of the agent's, or one that goes on.
    """
    promotion = halving.next()
    if promotion is None:
        return None
    if promotion.architecture is None:
        (sample,) = agent.propose()
        if agent.repeats:
            halving.exhaust()
            return climb(halving, agent)
    else:
        sample = json.loads(promotion.architecture)
    halving.start(promotion.stage, architecture_key(sample))
    return sample, Stage(promotion.stage, promotion.steps)


def under_way(halving: SuccessiveHalving) -> list[tuple[dict[str, Any], Stage]]:
    """Return what was started and has not ended, as :func:`climb` did."""
    return [
        (json.loads(architecture), Stage(stage, halving.rungs[stage - 1].steps))
        for stage, architecture in halving.running
    ]


def restore(halving: SuccessiveHalving | None, state: Mapping[str, Any] | None) -> None:
    """Go on from a saved state; None of a search without rungs.

    Raises
    ------
    ValueError
        If the state is of other rungs.
    """
    if (halving is None) != (state is None):
        raise ValueError(f"state: was saved {'without rungs' if state is None else 'with rungs'}; give the same again")
    if halving is not None and state is not None:
        halving.load_state_dict(state)
