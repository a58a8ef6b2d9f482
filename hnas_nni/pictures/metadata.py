"""What a picture file says of its picture, made true of the upright, enlarged one: Exif data, XMP, resolution."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

Resolution = tuple[float, float]
"""Dots per inch, across and down."""

DESCRIPTIVE_TAGS = frozenset({270, 271, 272, 305, 306, 315, 33432})
"""ImageDescription, Make, Model, Software, DateTime, Artist and Copyright, of TIFF 6.0 and of Exif alike."""

RESOLUTION_TAGS = (282, 283, 296)
"""XResolution, YResolution and ResolutionUnit."""

SUB_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

_SIZES = {ExifTags.Base.ImageWidth: 0, ExifTags.Base.ImageLength: 1}
_EXIF_SIZES = {ExifTags.Base.ExifImageWidth: 0, ExifTags.Base.ExifImageHeight: 1}
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))\s*[2-8]")
_INCH, _CENTIMETRE = 2, 3
_QUARTER_TURNS = (5, 6, 7, 8)


def exif_of_upright(exif: Image.Exif, orientation: int, *, tiff: bool) -> bytes | None:
    """Return Exif data without the orientation (1..8), which was applied; of TIFF files without their layout's tags.

    What can't be written again is given up: the picture matters more. `exif` itself is left as it is.
    """
    kept = Image.Exif()
    kept.endian = exif.endian
    skipped: set[int] = {ExifTags.Base.Orientation, *SUB_DIRECTORIES}
    if tiff:
        known = DESCRIPTIVE_TAGS.union(RESOLUTION_TAGS if tiff_resolution(exif) else ())
        skipped.update(tag for tag in exif if tag not in known)
    try:
        for directory in SUB_DIRECTORIES:
            if values := exif.get_ifd(directory):
                kept[directory] = _with_directories_within(values, exif)
        for tag, value in exif.items():
            if tag not in skipped:
                kept[tag] = value
        across, down = RESOLUTION_TAGS[:2]
        if orientation in _QUARTER_TURNS and across in kept and down in kept:
            kept[across], kept[down] = kept[down], kept[across]
        return kept.tobytes() if len(kept) else None
    except (struct.error, TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None


def _with_directories_within(directory: dict[int, Any], exif: Image.Exif) -> dict[int, Any]:
    if ExifTags.IFD.Interop not in directory:
        return dict(directory)
    return {**directory, ExifTags.IFD.Interop: exif.get_ifd(ExifTags.IFD.Interop)}


def exif_of_size(exif: bytes, width: int, height: int) -> bytes:
    """Return Exif data with the picture's sides in pixels, where it states them."""
    data = Image.Exif()
    data.load(exif)
    size = (width, height)
    changed = False
    for directory, tags in ((data, _SIZES), (data.get_ifd(ExifTags.IFD.Exif), _EXIF_SIZES)):
        for tag, axis in tags.items():
            if tag in directory:
                directory[tag] = size[axis]
                changed = True
    return data.tobytes() if changed else exif


def upright_xmp(xmp: Any) -> bytes | None:
    """Return XMP with the orientation set to upright, None if there is none."""
    if not xmp:
        return None
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp.encode("utf-8") if isinstance(xmp, str) else bytes(xmp))


def resolution(dpi: Any) -> Resolution | None:
    """Return a resolution as Pillow gives it, None if it says nothing."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    usable = all(math.isfinite(value) and 1 < value < 1e6 for value in (across, down))  # TIFF has 1 for unknown
    return (across, down) if usable else None


def turned_resolution(dpi: Resolution | None, orientation: int) -> Resolution | None:
    """Return the resolution of a picture that was stored in an orientation (1..8)."""
    return dpi[::-1] if dpi and orientation in _QUARTER_TURNS else dpi


def tiff_resolution(tags: Mapping[int, Any]) -> Resolution | None:
    """Return the resolution that TIFF's tags state, values being numbers or (numerator, denominator)."""
    unit = tags.get(RESOLUTION_TAGS[2], _INCH)
    factor = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(int(unit))
    values = [tags.get(tag) for tag in RESOLUTION_TAGS[:2]]
    if factor is None or None in values:
        return None
    numbers = [value[0] / max(value[1], 1) if isinstance(value, tuple) else float(value or 0) for value in values]
    return resolution([factor * number for number in numbers])
