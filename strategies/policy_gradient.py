"""REINFORCE for the hierarchical controller (HNAS, section II-D), and what small budgets need on top of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from strategies.controller import Decisions, HierarchicalController
from strategies.elite import EliteMemory
from strategies.layout import NETWORK_LEVEL
from strategies.running_baseline import RunningBaseline


class PolicyGradient:
    """Train a controller on the rewards of architectures.

    One update minimises, averaged over the batch,

    ``-(log pi) * (R - b) - entropy_weight * H``

    (Williams, 1992; HNAS, section II-D), where b is an exponential moving average of past rewards. The
    architectures are re-scored under today's policy, so they may come from a policy a few updates old.
    The defaults are the paper's, meant for ten thousands of samples from a supernet; :meth:`for_small_budget`
    has those for a search of some hundred trials.

    Parameters
    ----------
    controller
        Trained in place.
    learning_rate
        Of Adam; the paper's is 3e-4.
    entropy_weight
        Weight of the policy's entropy H, in rewards per nat.
    position_weight
        Weight of the network level's log-probability and entropy against the cells'; the authors' code has 10.
    baseline_decay
        Decay of b, in [0, 1). The first rewards start it.
    gradient_clip
        Largest norm of the gradient; None for no bound. ENAS uses 5.
    normalize_advantage
        Divide R - b by its running standard deviation, which makes all other settings independent of the
        reward's unit (Andrychowicz et al., "What Matters In On-Policy Reinforcement Learning?", ICLR 2021,
        arXiv:2006.05990, section 3.4).
    elite_size
        Remember this many best architectures; 0 for none.
    elite_weight
        Weight of the elite's mean log-probability in the objective: priority queue training (Abolafia et al.,
        2018, arXiv:1801.03526, section 3.3), which learns from a lucky find more than once.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __init__(
        self,
        controller: HierarchicalController,
        *,
        learning_rate: float = 3e-4,
        entropy_weight: float = 1.0,
        position_weight: float = 1.0,
        baseline_decay: float = 0.95,
        gradient_clip: float | None = 5.0,
        normalize_advantage: bool = False,
        elite_size: int = 0,
        elite_weight: float = 1.0,
        epochs: int = 1,
        ratio_clip: float = 0.2,
    ) -> None:
        for name, value in (("learning_rate", learning_rate), ("gradient_clip", gradient_clip)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: {value!r} is not valid; give a positive number")
        for name, value in (
            ("entropy_weight", entropy_weight),
            ("position_weight", position_weight),
            ("elite_weight", elite_weight),
            ("elite_size", elite_size),
        ):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}: {value!r} is not valid; give a number of at least 0")
        self.controller = controller
        self.entropy_weight = entropy_weight
        self.position_weight = position_weight
        self.gradient_clip = gradient_clip
        self.normalize_advantage = normalize_advantage
        self.elite_weight = elite_weight
        self.epochs = epochs
        self.ratio_clip = ratio_clip
        self.baseline = RunningBaseline(baseline_decay)
        self.elite = EliteMemory(elite_size)
        self.optimizer = torch.optim.Adam(controller.parameters(), lr=learning_rate)
        self.updates = 0
        self.ignored = 0
        self._weights = torch.ones(len(controller.layout.decisions), device=controller.device)
        if controller.layout.network:
            self._weights[controller.layout.columns()[NETWORK_LEVEL]] = position_weight

    def update(self, choices: Tensor, rewards: Tensor | Sequence[float]) -> dict[str, float]:
        rewards = torch.as_tensor(rewards, dtype=torch.float64).detach().cpu()
        finite = torch.isfinite(rewards)
        self.ignored += int((~finite).sum())
        rewards, choices = rewards[finite], choices[finite.to(choices.device)]
        if len(rewards) == 0:
            return {}
        advantages = rewards - self.baseline.value if self.baseline.value is not None else rewards - rewards.mean()
        self.baseline.update(rewards)
        if self.normalize_advantage:
            advantages = advantages / self.baseline.scale
        self.elite.add(choices, rewards)
        advantages = advantages.to(torch.float32)
        old = None
        for _ in range(self.epochs):
            decisions = self.controller.score(choices)
            if old is None:
                old = decisions.log_probs.detach()
            r = (decisions.log_probs - old).exp()
            A = advantages[:, None]
            surr = torch.minimum(r * A, r.clamp(1 - self.ratio_clip, 1 + self.ratio_clip) * A)
            policy_loss = -(surr @ self._weights).mean()
            entropy = (decisions.entropies @ self._weights).mean()
            loss = policy_loss - self.entropy_weight * entropy
            if len(self.elite):
                e = self.controller.score(self.elite.choices())
                loss = loss - self.elite_weight * (e.log_probs @ self._weights).mean()
            self.optimizer.zero_grad()
            loss.backward()
            if self.gradient_clip is not None:
                nn.utils.clip_grad_norm_(self.controller.parameters(), self.gradient_clip)
            self.optimizer.step()
        self.updates += 1
        return {"entropy": float(entropy.detach())}
