"""The reward to beat: an exponential moving average of the rewards so far."""

from __future__ import annotations

from torch import Tensor


class RunningBaseline:
    """Moving average of rewards, and of their squared distance from it.

    ``b <- decay * b + (1 - decay) * mean(R)``, and the same for the variance ``(R - b)^2`` around the b before.
    The first batch starts both.

    Parameters
    ----------
    decay
        How much of the old value stays with each batch, in [0, 1).

    Raises
    ------
    ValueError
        If `decay` is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"baseline_decay: {decay!r} is not valid; give a number in [0, 1)")
        self.decay = decay
        self.value: float | None = None
        self.variance: float | None = None

    @property
    def scale(self) -> float:
        """Running standard deviation of the rewards around the baseline; 1 while all rewards were equal."""
        return self.variance**0.5 if self.variance else 1.0

    def update(self, rewards: Tensor) -> None:
        """Take in a batch of finite rewards, shape (n,)."""
        mean = float(rewards.mean())
        if self.value is None:
            self.value = mean
        variance = float((rewards - self.value).square().mean())
        if not self.variance:
            self.variance = variance
        else:
            self.variance = self.decay * self.variance + (1 - self.decay) * variance
        self.value = self.decay * self.value + (1 - self.decay) * mean
