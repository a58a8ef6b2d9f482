"""TIFF files whose header states more bytes than there are, as some programs write them.

libtiff refuses such a strip before it looks at what is there, which may well be all of it, or makes it black. Layout
and fields: TIFF 6.0, sections 2 and 8; BigTIFF has 8 bytes for what has 4 in TIFF.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

_MAGIC = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_TYPES = {3: "H", 4: "I", 16: "Q"}
"""SHORT, LONG and LONG8, which offsets and lengths may be."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 278, 284, 322, 323
_PLACES = ((273, 279), (324, 325))
"""StripOffsets and StripByteCounts, TileOffsets and TileByteCounts."""

_NOT_COMPRESSED, _JPEGS = 1, (6, 7)
_YCBCR = 6
_SEPARATE_PLANES = 2
_END_OF_JPEG = b"\xff\xd9"


class _Field(NamedTuple):
    """Whole numbers in the first directory of a file."""

    at: int
    format: str
    values: tuple[int, ...]


def within_its_end(path: Path) -> mmap.mmap | None:
    """Return a file with the lengths of its strips and tiles cut to what can be true; None if there is nothing to cut.

    That is where the file ends, and without compression where the pixels do.

    What is missing in truth a decoder still finds missing.

    Parameters
    ----------
    path
        Any file; the copy is made only of the pages that are changed.
    """
    with path.open("rb") as file:
        if file.read(4) not in _MAGIC:
            return None
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        changed = _cut(data)
    except (
        struct.error,
        ArithmeticError,
        IndexError,
        ValueError,
        MemoryError,
    ):  # damaged, which its reader says better
        changed = False
    if changed:
        return data
    data.close()
    return None


def _cut(data: mmap.mmap) -> bool:
    fields = _first_directory(data)
    compression = _value(fields, _COMPRESSION, _NOT_COMPRESSED)
    changed = False
    for offsets, lengths in _PLACES:
        if offsets not in fields or lengths not in fields:
            continue
        at, format, stated = fields[lengths]
        starts = fields[offsets].values
        if compression == _NOT_COMPRESSED:
            # Of these libtiff makes black where the lengths make no sense to it.
            longest = _uncompressed_lengths(fields, len(stated))
        else:
            longest = [len(data) - start for start in starts]
        true = [min(length, most) for length, most in zip(stated, longest, strict=True)]
        cut = [start for start, length, whole in zip(starts, true, stated, strict=True) if length < whole]
        if not cut or min(true) < 0:
            continue
        # libjpeg makes up what is missing at the end of its data.
        if compression in _JPEGS and any(data.rfind(_END_OF_JPEG, start) < 0 for start in cut):
            continue
        struct.pack_into(format, data, at, *true)
        changed = True
    return changed


def _uncompressed_lengths(fields: dict[int, _Field], count: int) -> list[int]:
    """How many bytes the pixels of each strip or tile take."""
    bits = fields[_BITS].values if _BITS in fields else (1,)
    if _value(fields, _PHOTOMETRIC) == _YCBCR:
        raise ValueError("of colours with fewer pixels the lengths are others")
    used = bits[0] if _value(fields, _PLANAR) == _SEPARATE_PLANES else sum(bits)
    if _TILE_WIDTH in fields:
        return [-(-_value(fields, _TILE_WIDTH) * used // 8) * _value(fields, _TILE_HEIGHT)] * count
    height = _value(fields, _HEIGHT)
    rows = min(_value(fields, _ROWS_PER_STRIP, height), height)
    in_plane = -(-height // rows)
    row_bytes = -(-_value(fields, _WIDTH) * used // 8)
    return [row_bytes * min(rows, height - rows * (index % in_plane)) for index in range(count)]


def _value(fields: dict[int, _Field], tag: int, default: int = 0) -> int:
    return fields[tag].values[0] if tag in fields else default


def _first_directory(data: mmap.mmap) -> dict[int, _Field]:
    order, big = _MAGIC[data[:4]]
    # Sizes of the header, the number of entries, an entry, its count and its place.
    start, count, entry, number = (8, "Q", 20, "Q") if big else (4, "H", 12, "I")
    (directory,) = struct.unpack_from(order + number, data, start)
    (entries,) = struct.unpack_from(order + count, data, directory)
    fields = {}
    first = directory + struct.calcsize(order + count)
    for at in range(first, first + entries * entry, entry):
        tag, kind, length = struct.unpack_from(order + "HH" + number, data, at)
        if kind in _TYPES:
            format = f"{order}{length}{_TYPES[kind]}"
            at += struct.calcsize(order + "HH" + number)
            if struct.calcsize(format) > struct.calcsize(order + number):
                (at,) = struct.unpack_from(order + number, data, at)
            fields[tag] = _Field(at, format, struct.unpack_from(format, data, at))
    return fields
