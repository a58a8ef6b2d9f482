"""A model of the reward, learnt from the results so far, that tells which proposals are worth a trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.exploration import Choices

_FIRST_WEIGHT, _FIRST_NOISE = 0.3, 0.1
_USUAL_WEIGHT, _SPREAD = 0.2, 1.5
"""Median of the weights before any result, and the standard deviation of their logarithm."""

_STEP = 2.5
_JITTER = 1e-6


class RewardPredictor:
    """Gaussian process over architectures with the weighted overlap kernel ``exp(-sum_d theta_d [a_d != b_d])``.

    theta_d tells how much decision d matters, and whether the reward is nearly a sum over the decisions (small) or all
    of them interact (Wan et al., "Think Global and Act Local", ICML 2021, arXiv:2102.07188). The weights and the noise
    of the rewards follow the marginal likelihood, one coordinate after the other and a step at each :meth:`fit`, so
    that they settle in the course of a search. Rewards count by their ranks, as normal scores: a network that diverged
    does not dwarf the differences among the good ones.

    Parameters
    ----------
    decisions
        D, the number of decisions.
    """

    def __init__(self, decisions: int) -> None:
        self.weights = torch.full((decisions,), _FIRST_WEIGHT, dtype=torch.float64)
        self.noise = _FIRST_NOISE
        self._known = torch.empty(0, decisions, dtype=torch.int64)
        self._different = torch.empty(0)
        self._targets = torch.empty(0)
        self._factor = self._solved = torch.empty(0)
        self._scale = 1.0

    def fit(self, choices: Sequence[Choices], rewards: Sequence[float]) -> None:
        """Take in all results.

        Parameters
        ----------
        choices
            Architectures as candidate indices, at least one.
        rewards
            Of each, finite.
        """
        self._known = torch.tensor(choices)
        self._different = (self._known[:, None] != self._known).double()
        self._targets = normal_scores(torch.tensor(rewards, dtype=torch.float64))
        best = self._try(self.weights, self.noise, -math.inf)
        for step in (1 / _STEP, _STEP):
            best = self._try(self.weights, min(max(self.noise * step, 1e-3), 2.0), best)
            best = self._try(self.weights * step, self.noise, best)
        for decision in range(len(self.weights)):
            for step in (1 / _STEP, _STEP):
                weights = self.weights.clone()
                weights[decision] *= step
                best = self._try(weights.clamp(1e-3, 5.0), self.noise, best)

    def predict(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of what is believed of architectures (n, D), after :meth:`fit`.

        Returns
        -------
        mean, deviation : torch.Tensor
            In normal scores, float64 of shape (n,).
        """
        cross = torch.exp(-((choices[:, None] != self._known).double() @ self.weights))
        explained = torch.linalg.solve_triangular(self._factor, cross.T, upper=False)
        variance = self._scale * (1 - explained.square().sum(0)).clamp_min(0)
        return explained.T @ self._solved, variance.sqrt()

    def promise(self, choices: Tensor) -> Tensor:
        """Return an optimistic score of architectures (n, D), shape (n,): mean plus one standard deviation.

        What is little known may be better than it looks (Srinivas et al., "Gaussian Process Optimization in the Bandit
        Setting", ICML 2010, arXiv:0912.3995).
        """
        mean, deviation = self.predict(choices)
        return mean + deviation

    def state_dict(self) -> dict[str, object]:
        """Return weights and noise as plain data; the results are given to :meth:`fit` again."""
        return {"weights": self.weights.tolist(), "noise": self.noise}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from :meth:`state_dict`."""
        self.weights = torch.tensor(state["weights"], dtype=torch.float64)
        self.noise = float(state["noise"])  # type: ignore[arg-type]

    def _try(self, weights: Tensor, noise: float, best: float) -> float:
        """Take these weights and noise if the results are likelier with them; return the larger log-likelihood."""
        kernel = torch.exp(-(self._different @ weights))
        kernel.diagonal().add_(noise + _JITTER)
        factor, failed = torch.linalg.cholesky_ex(kernel)
        if int(failed):
            return best
        solved = torch.linalg.solve_triangular(factor, self._targets[:, None], upper=False)[:, 0]
        # The scale of the function has its best value in closed form.
        scale = max(float(solved.square().mean()), 1e-9)
        likelihood = -0.5 * len(solved) * math.log(scale) - float(factor.diagonal().log().sum())
        likelihood -= 0.5 * float(((weights / _USUAL_WEIGHT).log() / _SPREAD).square().sum())
        if likelihood <= best:
            return best
        self.weights, self.noise, self._scale = weights, noise, scale
        self._factor, self._solved = factor, solved
        return likelihood


def normal_scores(rewards: Tensor) -> Tensor:
    """Return the normal quantiles of the ranks of rewards (n,), ties by their mean rank, float64."""
    below = (rewards[:, None] > rewards).double().sum(1)
    ties = (rewards[:, None] == rewards).double().sum(1)
    ranks = below + (ties + 1) / 2
    return math.sqrt(2) * torch.erfinv(2 * (ranks - 0.5) / len(rewards) - 1)
