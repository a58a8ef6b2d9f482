"""Writing PNG files of 16 bits a channel, which Pillow does for grey only (PNG specification, third edition)."""

from __future__ import annotations

import os
import struct
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By the number of channels: grey, grey with alpha, RGB, RGBA (section 11.2.1)."""

_FILTER_UP = 2
_CHUNK_BYTES = 2**23


def write_png16(
    path: str | os.PathLike[str],
    pixels: npt.NDArray[np.uint16],
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
) -> None:
    """Write a 16-bit image, some rows at a time, so that beside `pixels` only a little memory is taken.

    Parameters
    ----------
    path
        The file.
    pixels
        uint16, (h, w, channels) with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels.
    icc_profile
        Colour profile to embed.
    exif
        Exif data, with or without the leading ``Exif\\0\\0``.
    """
    height, width, channels = pixels.shape
    with open(path, "wb") as file:
        file.write(_SIGNATURE)
        _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
        if icc_profile:
            _write_chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile))
        if exif:
            _write_chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
        compressor = zlib.compressobj()
        above = np.zeros((1, 2 * width * channels), np.uint8)
        rows = max(1, _CHUNK_BYTES // above.size)
        for start in range(0, height, rows):
            block = np.ascontiguousarray(pixels[start : start + rows], dtype=">u2").view(np.uint8)
            block = block.reshape(-1, above.size)
            filtered = np.empty((len(block), 1 + above.size), np.uint8)
            filtered[:, 0] = _FILTER_UP
            # Each byte less the one above it (section 9.2).
            filtered[:, 1:] = block - np.concatenate([above, block[:-1]])
            above = block[-1:].copy()
            _write_data(file, compressor.compress(filtered.tobytes()))
        _write_data(file, compressor.flush())
        _write_chunk(file, b"IEND", b"")


def _write_data(file: BinaryIO, data: bytes) -> None:
    if data:
        _write_chunk(file, b"IDAT", data)


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
