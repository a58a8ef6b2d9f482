"""Writing PNG files row by row (PNG specification, third edition).

Pillow can't write colours of 16 bits, and copies an image to four bytes a pixel before it writes it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By the number of channels: grey, grey with alpha, RGB, RGBA (section 11.2.1)."""

_FILTER_NONE, _FILTER_SUB, _FILTER_UP = range(3)
_CHUNK_BYTES = 2**23
_METRES_IN_INCH, _PER_METRE = 0.0254, 1
XMP_KEYWORD = b"XML:com.adobe.xmp"
"""Adobe, XMP specification part 3, section 1.1.5."""


def write_png(
    path: str | os.PathLike[str],
    pixels: npt.NDArray[Any],
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write an image; for the parameters see :func:`write_png_bands`."""
    write_png_bands(path, [pixels], pixels.shape, pixels.dtype, icc_profile=icc_profile, exif=exif, xmp=xmp, dpi=dpi)


def write_png_bands(
    path: str | os.PathLike[str],
    bands: Iterable[npt.NDArray[Any]],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write an image as it comes, so that beside a band only a little memory is taken.

    Parameters
    ----------
    path
        The file.
    bands
        The image from top to bottom, (rows, w, channels) each.
    shape
        Of the whole, (h, w, channels) with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels.
    dtype
        uint8 or uint16.
    icc_profile
        Colour profile to embed.
    exif
        Exif data, with or without the leading ``Exif\\0\\0``.
    xmp
        XMP, UTF-8.
    dpi
        Dots per inch, across and down.
    """
    height, width, channels = shape
    size = np.dtype(dtype).itemsize
    with open(path, "wb") as file:
        file.write(_SIGNATURE)
        _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * size, _COLOUR_TYPES[channels], 0, 0, 0))
        if icc_profile:
            _write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile))
        if dpi:
            across, down = (round(dots / _METRES_IN_INCH) for dots in dpi)
            _write_chunk(file, b"pHYs", struct.pack(">IIB", across, down, _PER_METRE))
        if xmp:
            _write_chunk(file, b"iTXt", XMP_KEYWORD + bytes(5) + xmp)  # not compressed, no language
        if exif:
            _write_chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
        compressor = zlib.compressobj()
        above = np.zeros((1, size * width * channels), np.uint8)
        rows = max(1, _CHUNK_BYTES // above.size)
        for band in bands:
            for start in range(0, len(band), rows):
                block = np.ascontiguousarray(band[start : start + rows], dtype=f">u{size}").view(np.uint8)
                block = block.reshape(-1, above.size)
                _write_data(file, compressor.compress(_filtered(block, above, size * channels).tobytes()))
                above = block[-1:].copy()
        _write_data(file, compressor.flush())
        _write_chunk(file, b"IEND", b"")


def _filtered(rows: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], pixel: int) -> npt.NDArray[np.uint8]:
    """Rows as they are, less the pixel before, or less the row above (section 9.2), with the filter's number in front.

    Each row takes the filter that leaves the smallest numbers (section 12.7).
    """
    left = rows.copy()
    left[:, pixel:] -= rows[:, :-pixel]
    up = rows - np.concatenate([above, rows[:-1]])
    candidates = {_FILTER_NONE: rows, _FILTER_SUB: left, _FILTER_UP: up}
    sums = [np.abs(candidate.view(np.int8).astype(np.int16)).sum(axis=1) for candidate in candidates.values()]
    chosen = np.argmin(sums, axis=0)
    result = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    result[:, 0] = chosen
    for number, candidate in candidates.items():
        result[chosen == number, 1:] = candidate[chosen == number]
    return result


def _write_data(file: BinaryIO, data: bytes) -> None:
    if data:
        _write_chunk(file, b"IDAT", data)


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
