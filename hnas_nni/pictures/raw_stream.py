"""Rows of a picture as a stream that libvips reads while they are computed: PNG without compression.

Of the formats that libvips reads from a pipe it is the one that holds 8 and 16 bits, grey and RGB, with and without
alpha (PNG specification, third edition).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from hnas_nni.pictures.picture import PictureRows

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By the number of channels: grey, grey with alpha, RGB, RGBA (section 11.2.1)."""

_PART_BYTES = 2**20


def raw_stream(rows: PictureRows) -> Iterator[bytes]:
    """Yield the stream, about 1 MB at a time."""
    height, width, channels = rows.shape
    size = rows.dtype.itemsize
    row_bytes = width * channels * size
    rows_at_once = max(1, _PART_BYTES // row_bytes)
    header = struct.pack(">IIBBBBB", width, height, 8 * size, _COLOUR_TYPES[channels], 0, 0, 0)
    yield _SIGNATURE + _chunk(b"IHDR", header)
    stored = zlib.compressobj(0)
    for band in rows.bands:
        for top in range(0, len(band), rows_at_once):
            part = np.ascontiguousarray(band[top : top + rows_at_once], rows.dtype.newbyteorder(">"))
            # In front of each row stands the number of its filter, none.
            lines = np.pad(part.view(np.uint8).reshape(len(part), row_bytes), [(0, 0), (1, 0)])
            yield _chunk(b"IDAT", stored.compress(lines.data))
    yield _chunk(b"IDAT", stored.flush()) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
