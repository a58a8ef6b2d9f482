"""Architectures and results for people: pictures, texts and tables.

Importing this package loads no matplotlib; the pictures, which need it, are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.report.formats import picture_format
from hnas_nni.report.palette import OPERATION_COLOURS, OPERATION_NAMES
from hnas_nni.report.text import describe, network_line

if TYPE_CHECKING:
    from hnas_nni.report.comparison_picture import draw_comparison
    from hnas_nni.report.drawing import draw_genotype

__all__ = [
    "OPERATION_COLOURS",
    "OPERATION_NAMES",
    "describe",
    "draw_comparison",
    "draw_genotype",
    "network_line",
    "picture_format",
]


def __getattr__(name: str) -> Any:
    if name == "draw_comparison":
        from hnas_nni.report.comparison_picture import draw_comparison

        return draw_comparison
    if name == "draw_genotype":
        from hnas_nni.report.drawing import draw_genotype

        return draw_genotype
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
