"""Names and colours of operations, the same in every picture and table.

The colours start from Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002) and Okabe and Ito's,
moved so that any two operations of a cell differ by more than 10 in CIEDE2000, with protanopia and
deuteranopia too. A name always stands beside its colour, in at least 4.5 times its luminance (WCAG 2.1, level
AA).
"""

from __future__ import annotations

from collections.abc import Mapping

OPERATION_NAMES: Mapping[str, str] = {
    "identity": "identity",
    "dil_conv_3x3": "dil. conv 3x3",
    "dil_conv_5x5": "dil. conv 5x5",
    "sep_conv_3x3": "sep. conv 3x3",
    "sep_conv_5x5": "sep. conv 5x5",
    "up_down_projection": "up-down proj.",
    "rcab": "RCAB",
    "area": "area",
    "bilinear": "bilinear",
    "nearest": "nearest",
    "deconv": "transposed conv",
    "subpixel": "sub-pixel conv",
}
"""What people call the operations."""

OPERATION_COLOURS: Mapping[str, str] = {
    "identity": "#b9bec4",
    "dil_conv_3x3": "#88ccee",
    "dil_conv_5x5": "#0072b2",
    "sep_conv_3x3": "#44aa99",
    "sep_conv_5x5": "#117733",
    "up_down_projection": "#993377",
    "rcab": "#e8806a",
    "area": "#ddcc77",
    "bilinear": "#e69f00",
    "nearest": "#6f7a1f",
    "deconv": "#882255",
    "subpixel": "#332288",
}
"""Colours of the operations, as ``#rrggbb``."""

CELL_COLOURS: Mapping[str, str] = {"normal": "#c9d6e3", "upsampling": "#d55e00"}
"""Colours of the two kinds of blocks in a picture of the network."""

INK = "#22262b"
"""Text and outlines."""

WIRE = "#8a929b"
"""Outputs of nodes, before an operation."""

NODE = "#eef1f4"
"""Boxes of nodes."""


def text_colour(background: str) -> str:
    """Return ink or white, whichever has the higher contrast on a background (WCAG 2.1)."""
    channels = (int(background[index : index + 2], 16) / 255 for index in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if (1.05 / (luminance + 0.05)) > (luminance + 0.05) / 0.069 else INK
