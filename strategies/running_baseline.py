"""The reward to beat: an exponential moving average of the rewards so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class RunningBaseline:
    """Moving averages of the reward and of its squared distance from that average.

    With decay d, each batch of rewards R makes ``b <- d * b + (1 - d) * mean(R)`` and
    ``v <- d * v + (1 - d) * mean((R - b)^2)`` around the b before. The first batch starts b, and the first
    one with any spread starts v.

    Parameters
    ----------
    decay
        How much of the old average each batch leaves, in [0, 1). The paper's is 0.95.

    Attributes
    ----------
    mean
        b, nan before the first reward.

    Raises
    ------
    ValueError
        If `decay` is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"baseline_decay: {decay!r} is not valid; give a number in [0, 1)")
        self.decay = decay
        self.mean = float("nan")
        self._variance = 0.0

    @property
    def scale(self) -> float:
        """Running standard deviation around the baseline; 1 while all rewards have been equal."""
        return self._variance**0.5 or 1.0

    def advantages(self, rewards: Tensor, *, normalize: bool = False) -> Tensor:
        """Return R - b for finite rewards, shape (n,), and then take them in.

        With `normalize` the result is divided by :attr:`scale`, which has taken in these rewards already: one
        reward far off is bounded by 1 / sqrt(1 - decay).
        """
        batch_mean = float(rewards.mean())
        if self.mean != self.mean:
            self.mean = batch_mean
        advantages = rewards - self.mean
        variance = float(advantages.square().mean())
        self._variance = self._mix(self._variance, variance) if self._variance else variance
        self.mean = self._mix(self.mean, batch_mean)
        return advantages / self.scale if normalize else advantages

    def state_dict(self) -> dict[str, float]:
        """Return the two averages."""
        return {"mean": self.mean, "variance": self._variance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.mean, self._variance = float(state["mean"]), float(state["variance"])

    def _mix(self, old: float, new: float) -> float:
        return self.decay * old + (1 - self.decay) * new
