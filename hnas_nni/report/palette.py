"""Names and colours of operations, the same in every picture and table.

The colours start from Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002) and Okabe and Ito's,
moved so that any two operations of a cell differ by more than 10 in CIEDE2000, with protanopia and
deuteranopia too. A name always stands beside its colour, in at least 4.5 times its luminance (WCAG 2.1, level
AA).
"""

from __future__ import annotations

from collections.abc import Mapping

from hnas_nni.architecture.own_operations import own_operations

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
"""What people call the operations of the paper; with one's own, :func:`operation_names`."""

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
"""Colours of the operations of the paper, as ``#rrggbb``; with one's own, :func:`operation_colours`."""

CELL_COLOURS: Mapping[str, str] = {"normal": "#c9d6e3", "upsampling": "#d55e00"}
"""Colours of the two kinds of blocks in a picture of the network."""

INK = "#22262b"
"""Text and outlines."""

WIRE = "#8a929b"
"""Outputs of nodes, before an operation."""

NODE = "#eef1f4"
"""Boxes of nodes."""

PAPER = "#ffffff"
"""What pictures are drawn on."""

MUTED = "#5b636c"
"""Captions."""


def operation_names() -> dict[str, str]:
    """Return what people call the operations, those that were registered too."""
    return {**OPERATION_NAMES, **{own.name: own.label for own in own_operations()}}


def operation_colours() -> dict[str, str]:
    """Return the colours of the operations, as ``#rrggbb``, those that were registered too."""
    return {**OPERATION_COLOURS, **{own.name: own.colour for own in own_operations()}}


def text_colour(background: str) -> str:
    """Return ink or white, whichever has the higher contrast on a background (WCAG 2.1)."""
    return PAPER if contrast(background, PAPER) > contrast(background, INK) else INK


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours ``#rrggbb``, from 1 to 21 (WCAG 2.1)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on_dark(colour: str, background: str, least: float = 3.0) -> str:
    """Return a colour mixed with as much white as a line needs to be seen on a dark background.

    WCAG 2.1 asks for a contrast of 3 in graphics.
    """
    for share in range(0, 101, 5):
        mixed = [round(value + (255 - value) * share / 100) for value in _channels(colour)]
        lighter = "#" + "".join(f"{value:02x}" for value in mixed)
        if contrast(lighter, background) >= least:
            return lighter
    raise ValueError(f"background: {background} is too light; not even white has a contrast of {least:g} there")


def _channels(colour: str) -> list[int]:
    return [int(colour[index : index + 2], 16) for index in (1, 3, 5)]


def _luminance(colour: str) -> float:
    values = (value / 255 for value in _channels(colour))
    red, green, blue = (value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
