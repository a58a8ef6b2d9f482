"""Published results of other methods, to set one's own beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PUBLISHED_SCALE = 2
"""The results are of x2."""

_COMPARISON = "Guo et al., IEEE SPL 2020 (arXiv 2003.04619)"


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
    source
        Where it was published.
    """

    method: str
    gmacs: float | None
    kilo_params: int | None
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    source: str = _COMPARISON


SETS = ("Set5", "Set14", "BSD100", "Urban100", "Manga109")
"""The sets that there are results on."""


def _result(
    method: str,
    gmacs: float | None,
    kilo_params: int | None,
    *scores: tuple[float, float] | None,
    source: str = _COMPARISON,
) -> PublishedResult:
    known = {name: score for name, score in zip(SETS, scores, strict=False) if score is not None}
    return PublishedResult(method, gmacs, kilo_params, known, source)


COMPARED_IN_THE_PAPER = (
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

TODAYS_REFERENCES = (
    _result(
        "IMDN",
        158.8,
        694,
        (38.00, 0.9605),
        (33.63, 0.9177),
        (32.19, 0.8996),
        (32.17, 0.9283),
        (38.88, 0.9774),
        source="arXiv 1909.11856",
    ),
    _result(
        "RFDN",
        95.0,
        534,
        (38.05, 0.9606),
        (33.68, 0.9184),
        (32.16, 0.8994),
        (32.12, 0.9278),
        (38.88, 0.9773),
        source="arXiv 2009.11551, multiply-adds as in later papers",
    ),
    _result(
        "RLFN",
        115.4,
        527,
        (38.07, 0.9607),
        (33.72, 0.9187),
        (32.22, 0.9000),
        (32.33, 0.9299),
        source="arXiv 2205.07514",
    ),
    _result(
        "SAFMN",
        52.0,
        228,
        (38.00, 0.9605),
        (33.54, 0.9177),
        (32.16, 0.8995),
        (31.84, 0.9256),
        (38.71, 0.9771),
        source="arXiv 2302.13800",
    ),
    _result(
        "ShuffleMixer",
        91.0,
        394,
        (38.01, 0.9606),
        (33.63, 0.9180),
        (32.17, 0.8995),
        (31.89, 0.9257),
        (38.83, 0.9774),
        source="arXiv 2205.15175",
    ),
    _result(
        "LatticeNet",
        169.5,
        756,
        (38.15, 0.9610),
        (33.78, 0.9193),
        (32.25, 0.9005),
        (32.43, 0.9302),
        source="ECCV 2020",
    ),
    _result(
        "SwinIR-light",
        195.6,
        878,
        (38.14, 0.9611),
        (33.86, 0.9206),
        (32.31, 0.9012),
        (32.76, 0.9340),
        (39.12, 0.9783),
        source="arXiv 2108.10257",
    ),
)
"""Networks that people would take today. They were trained on more images than some of the paper's comparison."""

PUBLISHED_RESULTS = (*COMPARED_IN_THE_PAPER, *TODAYS_REFERENCES)
"""All of them."""

SOURCE = (
    f"x2 results as compared in {_COMPARISON}; of today's references each from its own paper ("
    + ", ".join(f"{result.method}: {result.source}" for result in TODAYS_REFERENCES)
    + "); PSNR/SSIM on Y, multiply-adds at a 640x360 input, which has the pixels of 480x480"
)
