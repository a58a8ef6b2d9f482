"""A model of the reward, learnt from the results so far, that tells which proposals are worth a trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.exploration import Choices

_DISTANCES = (0.05, 0.1, 0.2, 0.4, 0.8)
_NOISES = (1e-3, 3e-2, 0.1, 0.3, 1.0)
_SMOOTHING = 1e-6


class RewardPredictor:
    """Gaussian process over architectures with the overlap kernel ``exp(-theta * h)``.

    h is the number of decisions in which two architectures differ. A small theta makes the reward nearly a sum over
    decisions, a large one lets all of them interact (Garnett, "Bayesian Optimization", 2023, section 3.6; Wan et al.,
    "Think Global and Act Local", ICML 2021, arXiv:2102.07188). Theta and the noise of the rewards are those of the
    largest marginal likelihood on a grid. Rewards count by their ranks, as normal scores, so that a network that
    diverged does not dwarf the differences among the good ones.

    Parameters
    ----------
    choices
        Architectures as candidate indices, n of them; at least 1.
    rewards
        Of each, finite.
    """

    def __init__(self, choices: Sequence[Choices], rewards: Sequence[float]) -> None:
        self._known = torch.tensor(choices)
        targets = normal_scores(torch.tensor(rewards, dtype=torch.float64))
        distances = _hamming(self._known, self._known)
        best = -math.inf
        for theta in _DISTANCES:
            kernel = torch.exp(-theta * distances)
            values, vectors = torch.linalg.eigh(kernel)
            projected = vectors.T @ targets
            for noise in _NOISES:
                spectrum = values.clamp_min(0) + noise + _SMOOTHING
                # The scale of the function is its best value in closed form.
                scale = float((projected**2 / spectrum).mean())
                likelihood = -0.5 * len(rewards) * math.log(max(scale, 1e-12)) - 0.5 * float(spectrum.log().sum())
                if likelihood > best:
                    best = likelihood
                    self.theta, self.noise, self.scale = theta, noise, max(scale, 1e-12)
                    self._vectors, self._spectrum = vectors, spectrum
                    self._weights = vectors @ (projected / spectrum)

    def predict(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of what is believed of architectures (n, D).

        Returns
        -------
        mean, deviation : torch.Tensor
            In normal scores, float64 of shape (n,).
        """
        cross = torch.exp(-self.theta * _hamming(choices, self._known))
        rotated = cross @ self._vectors
        explained = ((rotated / self._spectrum) * rotated).sum(1)
        return cross @ self._weights, (self.scale * (1 - explained).clamp_min(0)).sqrt()

    def promise(self, choices: Tensor) -> Tensor:
        """Return an optimistic score of architectures (n, D), shape (n,): mean plus one standard deviation.

        What is little known may be better than it looks (Srinivas et al., "Gaussian Process Optimization in the Bandit
        Setting", ICML 2010, arXiv:0912.3995).
        """
        mean, deviation = self.predict(choices)
        return mean + deviation


def normal_scores(rewards: Tensor) -> Tensor:
    """Return the normal quantiles of the ranks of rewards (n,), ties by their mean rank, float64."""
    below = (rewards[:, None] > rewards).double().sum(1)
    ties = (rewards[:, None] == rewards).double().sum(1)
    ranks = below + (ties + 1) / 2
    return math.sqrt(2) * torch.erfinv(2 * (ranks - 0.5) / len(rewards) - 1)


def _hamming(first: Tensor, second: Tensor) -> Tensor:
    return (first[:, None] != second).sum(-1).double()
