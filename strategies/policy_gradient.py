"""REINFORCE for the hierarchical controller (HNAS, section II-D), and what small budgets need besides."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from strategies.controller import HierarchicalController
from strategies.elite import EliteMemory
from strategies.layout import NETWORK_LEVEL
from strategies.running_baseline import RunningBaseline
from strategies.settings import PolicySettings

_logger = logging.getLogger(__name__)


class PolicyGradient:
    """Train a controller on the rewards of architectures.

    One step minimises, averaged over a batch,

    ``-(log pi) * (R - b) - entropy_weight * H``

    (Williams, 1992; HNAS, section II-D), where b is an exponential moving average of earlier rewards and H
    the sum of the entropies the decisions were drawn with. Architectures are re-scored under today's policy,
    so they may have been drawn a few updates ago, as in a search with several trials in flight. The defaults
    are the paper's, for a supernet that rewards tens of thousands of samples; ``PolicyGradient(controller,
    **SMALL_BUDGET)`` suits a search of some hundred trials, where they would hardly move the policy.

    Parameters
    ----------
    controller
        Trained in place; move it to its device first.
    **settings
        As for :class:`PolicySettings`.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __init__(self, controller: HierarchicalController, **settings: Any) -> None:
        self.controller = controller
        self.settings = PolicySettings(**settings)
        self.baseline = RunningBaseline(self.settings.baseline_decay)
        self.elite = EliteMemory(self.settings.elite_size)
        self.optimizer = torch.optim.Adam(controller.parameters(), lr=self.settings.learning_rate)
        self.updates = 0
        self.ignored = 0

    def update(self, choices: Tensor, rewards: Tensor | Sequence[float]) -> dict[str, float]:
        """Take one step on a batch of architectures and their rewards.

        The baseline takes in the batch after its advantages are computed, so b does not depend on the rewards
        it is compared with; only the first batch is compared with its own mean. A reward that is not finite
        (a trial that diverged) is left out with a warning and counted in :attr:`ignored`; if none is left,
        nothing is learnt.

        Parameters
        ----------
        choices
            Candidate indices of shape (n, D).
        rewards
            One for each architecture, shape (n,); higher is better.

        Returns
        -------
        dict
            ``used`` and ``ignored`` rewards of this batch and, unless none was used, ``reward`` (mean),
            ``baseline`` and ``scale`` after the update, ``loss``, ``gradient_norm`` before clipping, and each
            level's mean entropy as ``entropy/<level>``.

        Raises
        ------
        ValueError
            If there are not as many rewards as architectures, or `choices` are not of this space.
        """
        rewards = torch.as_tensor(rewards, dtype=torch.float64).detach().cpu()
        if rewards.shape != choices.shape[:1]:
            raise ValueError(f"rewards: shape {tuple(rewards.shape)} does not fit {len(choices)} architectures")
        finite = torch.isfinite(rewards)
        ignored = int((~finite).sum())
        if ignored:
            self.ignored += ignored
            _logger.warning("%d of %d rewards are not finite and were left out", ignored, len(rewards))
        rewards, choices = rewards[finite], choices[finite.to(choices.device)]
        stats = {"used": float(len(rewards)), "ignored": float(ignored)}
        if not len(rewards):
            return stats
        advantages = self.baseline.advantages(rewards, normalize=self.settings.normalize_advantage)
        self.elite.add(choices, rewards)
        loss, entropies = self._loss(choices, advantages)
        self.optimizer.zero_grad()
        loss.backward()
        limit = math.inf if self.settings.gradient_clip is None else self.settings.gradient_clip
        norm = nn.utils.clip_grad_norm_(self.controller.parameters(), limit)
        self.optimizer.step()
        self.updates += 1
        stats |= {
            "reward": float(rewards.mean()),
            "baseline": self.baseline.mean,
            "scale": self.baseline.scale,
            "loss": float(loss.detach()),
            "gradient_norm": float(norm),
        }
        return stats | {f"entropy/{name}": float(entropy) for name, entropy in entropies.items()}

    def loss(self, choices: Tensor, advantages: Tensor) -> Tensor:
        """Return what one step minimises, a scalar with gradient, the elite's term included.

        Parameters
        ----------
        choices
            Candidate indices of shape (n, D).
        advantages
            R - b of each, shape (n,).
        """
        return self._loss(choices, advantages)[0]

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning goes on from: policy, Adam's moments, baseline, elite and counters.

        Continuing from it equals never having stopped, bit for bit on one machine's CPU, if the caller
        restores the generator it samples with. It holds only tensors and plain data: ``torch.load(...,
        weights_only=True)`` reads it.
        """
        return {
            "space": self.controller.layout.to_json(),
            "controller_settings": self.controller.settings(),
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline.state_dict(),
            "elite": self.elite.state_dict(),
            "updates": self.updates,
            "ignored": self.ignored,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; the settings stay those given to the constructor.

        Raises
        ------
        ValueError
            If the state is of another search space or another kind of controller.
        """
        if state["space"] != self.controller.layout.to_json():
            raise ValueError("state: was saved for another search space; start a new search, or use that space")
        saved, settings = state["controller_settings"], self.controller.settings()
        for name, value in settings.items():
            if saved[name] != value:
                raise ValueError(f"state: its controller has {name}={saved[name]!r}, but this one has {value!r}")
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate
        self.baseline.load_state_dict(state["baseline"])
        self.elite.load_state_dict(state["elite"])
        self.updates, self.ignored = state["updates"], state["ignored"]

    def _loss(self, choices: Tensor, advantages: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        n = len(choices)
        # The elite is scored in the same pass: a pass costs nearly the same for 2 as for 12 architectures.
        scored = self.controller.score(torch.cat([choices, self.elite.choices(choices)]))
        levels = scored.by_level()
        weights = {name: self.settings.position_weight if name == NETWORK_LEVEL else 1.0 for name in levels}
        log_probs = torch.stack([weights[name] * level.log_prob for name, level in levels.items()]).sum(0)
        entropies = torch.stack([weights[name] * level.entropy for name, level in levels.items()]).sum(0)
        policy = -(log_probs[:n] * advantages.to(log_probs)).mean()
        loss = policy - self.settings.entropy_weight * entropies[:n].mean()
        if len(self.elite):
            loss = loss - self.settings.elite_weight * log_probs[n:].mean()
        return loss, {name: level.entropy[:n].detach().mean() for name, level in levels.items()}
