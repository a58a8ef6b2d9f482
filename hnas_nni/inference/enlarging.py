"""Enlarging an image of any size within bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Literal

import numpy as np
import torch

from hnas_nni.inference.models import Model, Pixels, memory_budget
from hnas_nni.inference.tiling import largest_tile, tiles

TileSize = int | Literal["auto"] | None
"""Largest side of a tile in LR pixels; "auto" where memory asks for it, None never."""

_TILE_MEMORY = 2**30
"""What tiles that leave no trace are made to take: 1 GiB."""

_ALLOCATION_FAILED = "can't allocate memory"
"""What torch says where the main memory does not suffice."""

_SMALLEST_TILE = 32
_OVERLAPS = 4
"""Below so many times the overlap, more than half of what is computed is thrown away."""


def enlarge(
    image: Pixels,
    model: Model,
    tile: TileSize = "auto",
    *,
    advance: Callable[[int], object] | None = None,
) -> Pixels:
    """Enlarge an image, tile by tile where it is large.

    If the model looks at a limited neighbourhood only (:attr:`Model.is_local`), the result is that of the whole image
    up to floating-point rounding. Channel attention averages over all it sees, so with it each tile is treated as an
    image of its own, and brightness and detail may differ slightly between tiles; such a model is given tiles
    only where the memory does not suffice, or where `tile` asks for it.

    Parameters
    ----------
    image
        uint8, uint16, or float32 in 0..1; (h, w, 3) or (h, w, 1).
    model
        What to enlarge with.
    tile
        Largest side of a tile in LR pixels, without the overlap; None for the whole image at once.
    advance
        Called after each tile with the number of LR pixels that were done.

    Returns
    -------
    numpy.ndarray
        (s * h, s * w, 3 or 1), of the image's type.

    Raises
    ------
    ValueError
        If the tile's size is below 1, or the memory does not suffice.
    """
    height, width, channels = image.shape
    result = np.empty((model.scale * height, model.scale * width, channels), image.dtype)
    top = 0
    for band in enlarge_bands(image, model, tile, advance=advance):
        result[top : top + len(band)] = band
        top += len(band)
    return result


def enlarge_bands(
    image: Pixels,
    model: Model,
    tile: TileSize = "auto",
    *,
    advance: Callable[[int], object] | None = None,
) -> Iterator[Pixels]:
    """Enlarge an image, and yield the result from top to bottom, each row of tiles when it is done.

    For the parameters and errors see :func:`enlarge`, whose result is these bands, one below the other.

    Yields
    ------
    numpy.ndarray
        (rows, s * w, 3 or 1), of the image's type.
    """
    height, width, channels = image.shape
    scale = model.scale
    size = tile_size(height, width, model, tile)
    for rows, columns in tiles(height, width, size, model.overlap):
        if columns.start == 0:
            band = np.empty((scale * (rows.stop - rows.start), scale * width, channels), image.dtype)
        seen = image[rows.seen_from : rows.seen_to, columns.seen_from : columns.seen_to]
        try:
            enlarged = model(seen)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and _ALLOCATION_FAILED not in str(error):
                raise
            raise ValueError(
                f"the memory of the {model.device.type} does not suffice for {size}x{size} pixels at once; "
                f"give --tile {max(size // 2, 1)} or less"
            ) from error
        band[:, scale * columns.start : scale * columns.stop] = enlarged[
            scale * (rows.start - rows.seen_from) : scale * (rows.stop - rows.seen_from),
            scale * (columns.start - columns.seen_from) : scale * (columns.stop - columns.seen_from),
        ]
        if advance is not None:
            advance((rows.stop - rows.start) * (columns.stop - columns.start))
        if columns.stop == width:
            yield band


def tile_size(height: int, width: int, model: Model, tile: TileSize = "auto") -> int:
    """Return the largest side of the tiles in which :func:`enlarge` computes an image, in LR pixels.

    An image is cut if it needs more than half of the free memory, and by a model that leaves no seams already if it
    needs more than 1 GiB.

    Raises
    ------
    ValueError
        If `tile` is no number of pixels.
    """
    if tile is None:
        return max(height, width)
    if tile != "auto":
        if not isinstance(tile, Integral) or tile < 1:
            raise ValueError(f'tile: {tile!r} is not valid; give at least 1 pixel, "auto" or None')
        return int(tile)
    most = model.pixels_within(memory_budget(model))
    wanted = min(most, model.pixels_within(_TILE_MEMORY)) if model.is_local else most
    if height * width <= wanted:
        return max(height, width)
    size = largest_tile(wanted, model.overlap)
    if size < _OVERLAPS * model.overlap:
        size = min(_OVERLAPS * model.overlap, largest_tile(most, model.overlap))
    return max(size, _SMALLEST_TILE)
