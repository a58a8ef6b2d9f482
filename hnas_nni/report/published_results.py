"""Published results of other methods, to set one's own beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PUBLISHED_SCALE = 2
"""The results are of x2."""

SOURCE = (
    "x2 results as compared in Guo et al., IEEE SPL 2020 (arXiv 2003.04619); PSNR/SSIM on Y, "
    "multiply-adds at a 640x360 input, which has the pixels of 480x480"
)


@dataclass(frozen=True)
class PublishedResult:
    """What a method was reported to reach at x2.

    Parameters
    ----------
    method
        Its name in the literature.
    gmacs
        Multiply-adds in 10^9 at a 3x640x360 LR input (as many pixels as 480x480); None for interpolation.
    kilo_params
        Parameters in thousands; None for interpolation.
    scores
        PSNR in dB and SSIM by data set.
    """

    method: str
    gmacs: float | None
    kilo_params: int | None
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)


_SETS = ("Set5", "Set14", "BSD100", "Urban100")


def _result(
    method: str, gmacs: float | None, kilo_params: int | None, *scores: tuple[float, float] | None
) -> PublishedResult:
    known = {name: score for name, score in zip(_SETS, scores, strict=True) if score is not None}
    return PublishedResult(method, gmacs, kilo_params, known)


PUBLISHED_RESULTS = (
    _result("Bicubic", None, None, (33.66, 0.9299), (30.24, 0.8688), (29.56, 0.8431), (26.88, 0.8403)),
    _result("SRCNN", 52.7, 57, (36.66, 0.9542), (32.42, 0.9063), (31.36, 0.8879), (29.50, 0.8946)),
    _result("VDSR", 612.6, 665, (37.53, 0.9587), (33.03, 0.9124), (31.90, 0.8960), (30.76, 0.9140)),
    _result("DRCN", 17974.3, 1774, (37.63, 0.9588), (33.04, 0.9118), (31.85, 0.8942), (30.75, 0.9133)),
    _result("DRRN", 6796.9, 297, (37.74, 0.9591), (33.23, 0.9136), (32.05, 0.8973), (31.23, 0.9188)),
    _result("SelNet", 225.7, 974, (37.89, 0.9598), (33.61, 0.9160), (32.08, 0.8984), None),
    _result("CARN", 222.8, 1592, (37.76, 0.9590), (33.52, 0.9166), (32.09, 0.8978), (31.92, 0.9256)),
    _result("CARN-M", 91.2, 412, (37.53, 0.9583), (33.26, 0.9141), (31.92, 0.8960), (31.23, 0.9194)),
    _result("MoreMNAS-A", 238.6, 1039, (37.63, 0.9584), (33.23, 0.9138), (31.95, 0.8961), (31.24, 0.9187)),
    _result("FALSR-A", 234.7, 1021, (37.82, 0.9595), (33.55, 0.9168), (32.12, 0.8987), (31.93, 0.9256)),
    _result("FALSR-B", 74.7, 326, (37.61, 0.9585), (33.29, 0.9143), (31.97, 0.8967), (31.28, 0.9191)),
)
"""The methods that the paper compares with."""
