"""The joint reward of accuracy and cost (paper, section II-D, equation 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

PAPER_LAMBDAS = {"HNAS-A": 0.2, "HNAS-B": 0.6, "HNAS-C": 0.9}
"""The trade-off with which the paper found each of its networks."""


@dataclass(frozen=True)
class JointReward:
    """``R = lambda * PSNR - (1 - lambda) * cost_scale * GMAC``.

    Parameters
    ----------
    weight
        lambda in 0..1: 1 looks at PSNR alone, 0 at the cost alone.
    cost_scale
        What a billion multiply-adds costs, in dB; the authors' code has 0.05.

    Raises
    ------
    ValueError
        If a value is not a number or out of range.
    """

    weight: float = 0.6
    cost_scale: float = 0.05

    def __post_init__(self) -> None:
        if not _is_number(self.weight) or not 0 <= self.weight <= 1:
            raise ValueError(
                f"lambda: {self.weight!r} is not valid; give a number from 0 (cost alone) to 1 (PSNR alone)"
            )
        if not _is_number(self.cost_scale) or self.cost_scale < 0:
            raise ValueError(
                f"cost_scale: {self.cost_scale!r} is not valid; give a number of at least 0, in dB per GMAC"
            )

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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
