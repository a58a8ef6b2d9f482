"""Colours of pictures, but for those of operations, which are in :mod:`hnas_nni.architecture.operations`; contrasts."""

from __future__ import annotations

from collections.abc import Mapping

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
