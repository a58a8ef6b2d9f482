"""Cutting an image into tiles that overlap by what the network looks at, so that no seam is left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """A tile along one axis, in LR pixels."""

    start: int
    stop: int
    """The tile computes these pixels ..."""
    seen_from: int
    seen_to: int
    """... and sees these: up to `overlap` more on either side, as far as the image goes."""


class Tile(NamedTuple):
    """A part of an image: its rows and its columns."""

    rows: Span
    columns: Span


def spans(length: int, size: int, overlap: int) -> list[Span]:
    """Divide `length` pixels into the fewest spans of at most `size` pixels, as equal as possible.

    Raises
    ------
    ValueError
        If the size is below 1.
    """
    if size < 1:
        raise ValueError(f"tile: {size} is not valid; give at least 1 pixel")
    count = -(-length // size)
    edges = [length * index // count for index in range(count + 1)]
    return [Span(start, stop, max(start - overlap, 0), min(stop + overlap, length)) for start, stop in pairwise(edges)]


def tiles(height: int, width: int, size: int, overlap: int) -> Iterator[Tile]:
    """Yield the tiles of an image, row by row.

    A tile that reaches the image's border ends there, so that the network pads it as it pads the whole image; where
    it is cut inside the image, the overlap keeps the padding away from the pixels that are used. With `overlap` at
    least :func:`hnas_nni.inference.receptive_radius`, every pixel comes out as in the whole image.

    Parameters
    ----------
    height, width
        Of the image, in LR pixels.
    size
        Largest height and width of what a tile computes, in LR pixels.
    overlap
        How many more LR pixels a tile sees on each side.
    """
    columns = spans(width, size, overlap)
    for row in spans(height, size, overlap):
        for column in columns:
            yield Tile(row, column)


def largest_tile(pixels: int, overlap: int) -> int:
    """Return the largest size of a square tile that with its overlap sees at most so many LR pixels, or 0."""
    return max(math.isqrt(max(pixels, 0)) - 2 * overlap, 0)
