"""Writing JPEG files strip by strip (ITU-T T.81).

Pillow encodes a picture as a whole, and copies it to four bytes a pixel before. Here it encodes strips of a few rows,
with restart markers, at which a decoder starts anew as at the beginning; so the strips, with the marker that is due
between them, are the file that Pillow makes of the whole.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hnas_nni.pictures.pictures import PictureRows

_BLOCK = 8
"""Side of a block of samples; as colours are not subsampled, a restart interval is a row of them."""

_STRIP = 8 * _BLOCK
"""Restart markers are counted from 0 to 7 (section B.2.1), so that every strip begins behind number 7."""

_LAST_RESTART, _END = b"\xff\xd7", b"\xff\xd9"
_FRAMES = (0xC0, 0xC1)
"""Start of a frame, baseline or extended."""

_SCAN = 0xDA


def write_jpeg(path: Path, rows: PictureRows, quality: int, about: Mapping[str, Any]) -> None:
    """Write a JPEG file as its rows come; colours are not subsampled.

    Parameters
    ----------
    path
        The file.
    rows
        uint8, grey or RGB.
    quality
        1..100.
    about
        What Pillow is to say of the picture: ``exif``, ``icc_profile``, ``xmp``, ``dpi``.
    """
    with path.open("wb") as file:
        for number, strip in enumerate(rows.strips(_STRIP)):
            told = about if number == 0 else {}
            encoded = BytesIO()
            image = Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip)
            image.save(encoded, "JPEG", quality=quality, subsampling=0, restart_marker_rows=1, **told)
            header, samples = _split(encoded.getvalue(), rows.shape[0])
            file.write(header if number == 0 else _LAST_RESTART)
            file.write(samples)
        file.write(_END)


def _split(data: bytes, height: int) -> tuple[bytes, bytes]:
    """Return a file's header, with another number of lines in its frame (section B.2.2), and its compressed samples."""
    header = bytearray(data)
    start, marker = 2, 0  # behind the start of the image
    while marker != _SCAN:
        marker, length = struct.unpack_from(">xBH", data, start)
        if marker in _FRAMES:
            struct.pack_into(">H", header, start + 5, height)
        start += 2 + length
    return bytes(header[:start]), data[start : -len(_END)]
