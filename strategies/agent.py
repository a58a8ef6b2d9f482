"""What all doors to NNI share: propose architectures, learn from their rewards, be saved and go on."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from hnas_nni.trial.budget import Budget
from hnas_nni.trial.plain_stacks import plain_stacks
from strategies.budget import affordable_choices
from strategies.controller import HierarchicalController
from strategies.exploration import draw_candidates, draw_unseen
from strategies.layout import LayoutError, SpaceLayout
from strategies.policy_gradient import PolicyGradient
from strategies.predictor import RewardPredictor
from strategies.settings import PolicySettings
from strategies.tried import Choices, Tried

_MOST_RESULTS = 500
"""The model of the rewards looks at so many latest results, which bounds its time."""


class SearchAgent:
    """The controller, how it learns, and what it has seen.

    Results may come late, in any order and from any number of trials at a time: each is one step under the policy of
    that moment. It is not safe to call from two threads at once.

    Parameters
    ----------
    layout
        What is to be decided.
    learning
        How the controller learns.
    seed
        Of the controller's weights and of the sampling.
    hidden_size, conditioned
        As for :class:`HierarchicalController`.
    budget
        What an architecture may cost; nothing above it is proposed or learnt. None for no bound.
    start_with_stacks
        Whether the plain stacks that fill the budget are proposed first, in the efficient space.

    Raises
    ------
    LayoutError
        If nothing in the space fits the budget.

    Attributes
    ----------
    policy
        The controller and its optimizer.
    learnt
        How often each result was learnt, by :func:`result_key`.
    seen
        The architectures that were proposed or learnt; what is the same network, written otherwise, counts as one.
    """

    def __init__(
        self,
        layout: SpaceLayout,
        learning: PolicySettings,
        *,
        seed: int = 0,
        hidden_size: int = 100,
        conditioned: bool = True,
        budget: Budget | None = None,
        start_with_stacks: bool = True,
    ) -> None:
        self._affordable = affordable_choices(layout, budget)
        self._first = [] if budget is None or not start_with_stacks else _first_proposals(layout, budget)
        self._nothing_left = False
        with torch.random.fork_rng(devices=[]):  # what else runs in this process keeps its own randomness
            torch.manual_seed(seed)
            controller = HierarchicalController(
                layout, hidden_size=hidden_size, conditioned=conditioned, affordable=self._affordable
            )
        self.policy = PolicyGradient(controller, **asdict(learning))
        self.generator = torch.Generator().manual_seed(seed)
        self.learnt: Counter[str] = Counter()
        self.seen = Tried(layout)
        self._results: list[tuple[Choices, float]] = []
        self._predictor = RewardPredictor(len(layout.decisions))
        self._predictor_is_current = False
        self._predictor_before = self._predictor.state_dict()

    @property
    def layout(self) -> SpaceLayout:
        """What is decided."""
        return self.policy.controller.layout

    @property
    def first_proposals(self) -> list[dict[str, Any]]:
        """What is proposed first, label -> value."""
        return [self.layout.decode(choices) for choices in self._first]

    @property
    def repeats(self) -> bool:
        """Whether the latest proposals came twice, as nothing is left that was not proposed or learnt."""
        return self._nothing_left

    @property
    def exhausted(self) -> bool:
        """Whether every architecture of the space was proposed or learnt."""
        return self._nothing_left or len(self.seen) >= self.layout.size

    def propose(self, number: int = 1) -> list[dict[str, Any]]:
        """Return architectures, label -> value, that were not proposed before while there are such."""
        controller = self.policy.controller
        first = [choices for choices in self._first if choices not in self.seen][:number]
        for proposal in first:
            self.seen.add(proposal)
        if len(first) == number:
            return [self.layout.decode(choices) for choices in first]
        if first:
            return [*(self.layout.decode(choices) for choices in first), *self.propose(number - len(first))]
        with _one_thread():
            if self.policy.settings.candidates == 1 or not self._results:
                choices = self._draw_unseen(number)
            else:
                choices = torch.cat([self._most_promising() for _ in range(number)])
        return controller.decode(choices)

    def propose_new(self, number: int = 1) -> list[dict[str, Any]]:
        """Return architectures as :meth:`propose`, but fewer where nothing else is left than what was tried."""
        before = len(self.seen)
        proposed = self.propose(number)
        return proposed[: len(self.seen) - before]  # what comes twice comes last

    def learn(self, sample: Mapping[str, Any], reward: float, *, tried: bool = True) -> dict[str, float] | None:
        """Learn from an architecture's reward.

        Parameters
        ----------
        sample
            The architecture, label -> value.
        reward
            Its reward.
        tried
            False for one that another search tried, and that this one may still propose.

        Returns
        -------
        dict or None
            As :meth:`PolicyGradient.update`; None for a reward that is not finite or an architecture above the budget,
            from which nothing is learnt.
        """
        if not math.isfinite(reward):
            return None
        choices = self.policy.controller.encode([sample])
        if self._affordable is not None and not bool(self._affordable.contains(choices).all()):
            return None
        with _one_thread():
            stats = self.policy.update(choices, [reward])
        self.learnt[result_key(sample, reward)] += 1
        row = tuple(choices[0].tolist())
        if tried:
            self.seen.add(row)
        self._results = [*self._results, (row, reward)][-_MOST_RESULTS:]
        self._predictor_is_current = False
        return stats

    def mark_seen(self, sample: Mapping[str, Any]) -> None:
        """Keep an architecture that somebody else tries from being proposed."""
        self.seen.add(tuple(self.layout.encode(sample)))

    def state_dict(self) -> dict[str, Any]:
        """Return all that the search goes on from; tensors and plain data alone."""
        return {
            "policy": self.policy.state_dict(),
            "generator": self.generator.get_state(),
            "learnt": dict(self.learnt),
            "seen": [list(choices) for choices in sorted(self.seen)],
            "results": [[list(choices), reward] for choices, reward in self._results],
            # A model that has taken in all results will do so again.
            "predictor": self._predictor_before if self._predictor_is_current else self._predictor.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises
        ------
        ValueError
            If the state is of another search space or another kind of controller.
        """
        self.policy.load_state_dict(state["policy"])
        self.generator.set_state(state["generator"])
        self.learnt = Counter(state["learnt"])
        self.seen = Tried(self.layout, (tuple(choices) for choices in state["seen"]))
        self._results = [(tuple(choices), reward) for choices, reward in state["results"]]
        self._predictor.load_state_dict(state["predictor"])
        self._predictor_is_current = False

    def _draw_unseen(self, number: int) -> Tensor:
        before = len(self.seen)
        choices = draw_unseen(self.policy.controller, number, self.seen, self.generator)
        self._nothing_left = len(self.seen) - before < number
        return choices

    def _most_promising(self) -> Tensor:
        """Return the candidate (1, D) that is the most promising by the rewards so far."""
        controller = self.policy.controller
        number, best_so_far = self.policy.settings.candidates, self.policy.elite.best()
        candidates = draw_candidates(controller, number, self.seen, self.generator, best_so_far)
        if not len(candidates):
            return self._draw_unseen(1)
        if not self._predictor_is_current:
            self._predictor_before = self._predictor.state_dict()
            self._predictor.fit([row for row, _ in self._results], [reward for _, reward in self._results])
            self._predictor_is_current = True
        best = int(self._predictor.promise(candidates).argmax())
        self.seen.add(tuple(candidates[best].tolist()))
        return candidates[best : best + 1]


def _first_proposals(layout: SpaceLayout, budget: Budget) -> list[Choices]:
    """Return the plain stacks that fill a budget, as far as they are in the space."""
    found = []
    for stack in plain_stacks(budget):
        try:
            found.append(tuple(layout.encode(stack.to_sample())))
        except LayoutError:  # another space, or one whose sizes are other ones
            continue
    return found


def result_key(sample: Mapping[str, Any], reward: float) -> str:
    """Identify a result across a restart: the architecture and its reward to all digits."""
    return json.dumps([sorted(sample.items()), reward])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: the controller is small, and more would only take the cores from the trials beside it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
