"""The joint reward of accuracy and cost (paper, section II-D, equation 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hnas_nni.settings import Settings, shared


@dataclass(frozen=True)
class JointReward(Settings):
    """``R = lambda * PSNR - (1 - lambda) * cost_scale * GMAC``; `weight` is lambda."""

    as_options: ClassVar[bool] = False

    weight: float = shared.REWARD_LAMBDA(0.6)
    cost_scale: float = shared.COST_SCALE(0.05)

    def __call__(self, psnr: float, gmacs: float) -> float:
        """Return the reward.

        Parameters
        ----------
        psnr
            PSNR on Y, in dB.
        gmacs
            Multiply-adds of the evaluated architecture at a 3x480x480 input, in units of 10^9.
        """
        return self.weight * psnr - (1 - self.weight) * self.cost_scale * gmacs
