"""The controller on a supernet: which architecture runs next, and what is learnt of how it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import nn

from hnas_nni.trial.budget import Budget
from search_spaces.path_training import PathChoice
from strategies.budget import affordable_choices
from strategies.controller import HierarchicalController
from strategies.layout import NETWORK_LEVEL
from strategies.levels import SpaceChoices
from strategies.policy_gradient import PolicyGradient
from strategies.settings import CONTROLLER, PolicySettings
from strategies.tried import Tried

_ATTEMPTS = 50
_STATISTICS_SAMPLES = 32
_EVEN = 1e6
"""How much flatter than the policy uniform draws under a budget are."""


class Architecture(NamedTuple):
    """One architecture of the space."""

    choices: tuple[int, ...]
    """Candidate indices, as the controller has them."""
    sample: dict[str, Any]
    """Label -> value, as NNI has them."""


class PolicyStatistics(NamedTuple):
    """A policy's state, averaged over cells drawn from it with a seed of their own: looking does not change it."""

    entropy: dict[str, float]
    """Mean entropy by level in nats."""
    network: dict[str, dict[Any, float]]
    """Of the network level's decisions by label: the mean probability of each value."""


class SupernetPolicy:
    """Draws architectures of a path-sampled supernet, lets it run them, and learns from their rewards.

    It is what all weight-sharing searches here have in common (paper, Algorithm 1), and works on any supernet that the
    path-sampling hooks of NNI make. The controller lives on the CPU: its decisions steer Python code, without waiting
    for the device that trains the weights.

    Parameters
    ----------
    supernet
        A model space that a path-sampling one-shot strategy has mutated.
    learning
        How the controller learns.
    controller
        One of the choices of :data:`strategies.settings.CONTROLLER`.
    relative
        Compare each reward of a step with the mean of the step's others (Kool et al., "Buy 4 REINFORCE Samples, Get a
        Baseline for Free!", 2019) before the moving average. It takes out what the step's architectures share: how
        hard their batch is, and how well the weights are trained by now. Needs two architectures in a step.
    hidden_size
        Of the controller.
    levels
        As for :class:`strategies.levels.SpaceChoices`.
    seed
        Decides the controller's first weights and all draws.
    accepts
        Tells whether a sample of NNI may be drawn; None for all.
    budget
        What an architecture may cost; nothing above it is drawn. None for no bound.

    Raises
    ------
    LayoutError
        If the space has choices that are not categorical.
    ValueError
        If `controller` is unknown.
    """

    def __init__(
        self,
        supernet: nn.Module,
        learning: PolicySettings,
        *,
        controller: str = "hierarchical",
        relative: bool = False,
        hidden_size: int = 100,
        levels: Mapping[str, Any] | None = None,
        seed: int = 0,
        accepts: Callable[[dict[str, Any]], bool] | None = None,
        budget: Budget | None = None,
    ) -> None:
        CONTROLLER.check("controller", controller)
        self._choices = SpaceChoices(supernet, levels)
        self.uniform = controller == "random"
        self._accepts = accepts
        self.relative = relative
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = HierarchicalController(
                self._choices.layout,
                hidden_size=hidden_size,
                conditioned=controller == "hierarchical",
                affordable=affordable_choices(self._choices.layout, budget),
            )
        self.policy = PolicyGradient(network, **asdict(learning))
        self.generator = torch.Generator().manual_seed(seed)
        self._choose_path = PathChoice(supernet)

    def draw(self, n: int) -> list[Architecture]:
        """Draw `n` architectures from today's policy.

        Raises
        ------
        RuntimeError
            If hardly any architecture is accepted.
        """
        if self._accepts is None:
            return self._draw(n)
        found: list[Architecture] = []
        for _ in range(_ATTEMPTS):
            found += [architecture for architecture in self._draw(n) if self._accepts(architecture.sample)]
            if len(found) >= n:
                return found[:n]
        raise RuntimeError(f"the filter accepted {len(found)} of {n * _ATTEMPTS} architectures; widen its range")

    def _draw(self, n: int) -> list[Architecture]:
        decisions = self._choices.layout.decisions
        if self.uniform and self.policy.controller.affordable is not None:
            choices = self.policy.controller.sample(n, self.generator, flatten=_EVEN).choices
        elif self.uniform:
            columns = [torch.randint(len(d.values), (n,), generator=self.generator) for d in decisions]
            choices = torch.stack(columns, dim=1)
        else:
            choices = self.policy.controller.sample(n, self.generator).choices
        return [self._architecture(row) for row in choices.tolist()]

    def draw_distinct(self, n: int) -> list[Architecture]:
        """Draw up to `n` different networks; fewer if a settled policy keeps proposing the same."""
        tried = Tried(self._choices.layout)
        found: list[Architecture] = []
        for _ in range(_ATTEMPTS):
            for architecture in self.draw(n):
                if architecture.choices not in tried:
                    tried.add(architecture.choices)
                    found.append(architecture)
            if len(found) >= n:
                break
        return found[:n]

    def activate(self, architecture: Architecture) -> None:
        """Make the supernet run an architecture from now on."""
        self._choose_path(architecture.sample)

    def learn(self, architectures: Sequence[Architecture], rewards: Sequence[float]) -> dict[str, float]:
        """Take one step on the rewards of architectures that were measured under the same conditions.

        Returns
        -------
        dict
            As :meth:`PolicyGradient.update`, "reward" being the mean of the rewards given; no more than that if the
            policy does not learn.
        """
        mean = sum(rewards) / len(rewards)
        if self.uniform:
            return {"reward": mean}
        compared = list(rewards)
        finite = [reward for reward in rewards if math.isfinite(reward)]
        if self.relative and len(finite) > 1:
            # R minus the mean of the others; what is not finite stays so, and is left out.
            middle = sum(finite) / len(finite)
            compared = [(reward - middle) * len(finite) / (len(finite) - 1) for reward in rewards]
        choices = torch.tensor([architecture.choices for architecture in architectures])
        return self.policy.update(choices, compared) | {"reward": mean}

    @torch.no_grad()
    def statistics(self) -> PolicyStatistics:
        """Describe today's policy."""
        decisions = self._choices.layout.decisions
        network = self._choices.layout.network
        if self.uniform:
            sizes = {label: slice_ for label, slice_ in self._choices.layout.columns().items()}
            entropy = {
                level: sum(float(torch.tensor(float(len(d.values))).log()) for d in decisions[columns])
                for level, columns in sizes.items()
            }
            return PolicyStatistics(
                entropy, {d.label: {value: 1 / len(d.values) for value in d.values} for d in network}
            )
        controller = self.policy.controller
        drawn = controller.sample(_STATISTICS_SAMPLES, torch.Generator().manual_seed(0))
        probabilities = controller.network_probabilities(drawn.choices)
        return PolicyStatistics(
            {name: float(level.entropy.mean()) for name, level in drawn.by_level().items()},
            {d.label: dict(zip(d.values, probabilities[d.label].mean(0).tolist(), strict=True)) for d in network},
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that the policy goes on from; tensors and plain data alone."""
        return {"policy": self.policy.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises
        ------
        ValueError
            If the state is of another search space or another kind of controller.
        """
        self.policy.load_state_dict(state["policy"])
        self.generator.set_state(state["generator"])

    def architecture(self, choices: Sequence[int]) -> Architecture:
        """Return the architecture of candidate indices."""
        return self._architecture(choices)

    def architecture_of(self, sample: Mapping[str, Any]) -> Architecture:
        """Return the architecture of a sample of NNI.

        Raises
        ------
        LayoutError
            If it is not in the space.
        """
        return self._architecture(self._choices.layout.encode(self._choices.from_nni(sample)))

    def _architecture(self, choices: Sequence[int]) -> Architecture:
        return Architecture(tuple(choices), self._choices.to_nni(self._choices.layout.decode(choices)))


__all__ = ["NETWORK_LEVEL", "Architecture", "SupernetPolicy"]
