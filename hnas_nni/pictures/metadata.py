"""What a picture file says of its picture, made true of the upright, enlarged one: Exif data, XMP, resolution."""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from PIL import ExifTags, Image

Resolution = tuple[float, float]
"""Dots per inch, across and down."""

_DESCRIPTIVE_TAGS = frozenset({270, 271, 272, 305, 306, 315, 33432})
"""ImageDescription, Make, Model, Software, DateTime, Artist and Copyright, of TIFF 6.0 and of Exif alike."""

_SUB_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_RESOLUTION = (ExifTags.Base.XResolution, ExifTags.Base.YResolution)
_CHANGED = frozenset(
    {ExifTags.Base.Orientation, ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength, ExifTags.Base.ResolutionUnit}
).union(_RESOLUTION)
_CHANGED_WITHIN = frozenset({ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight})
"""Tags in Exif data's own directory that state sides in pixels; libvips states those of what it writes."""

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))\s*[2-8]")
_FIRST_TURNED = 5
"""Orientations from here on lie on their side."""

ASSUMED_RESOLUTION = 72
"""Dots per inch that are written where none are known."""

MILLIMETRES_IN_INCH = 25.4
"""libvips states resolutions in dots per millimetre."""

_CENTIMETRE = 3


def upright_exif(exif: Image.Exif, *, tiff: bool = False) -> bytes | None:
    """Return Exif data without orientation, resolution and sides in pixels; of TIFF files without their layout.

    What can't be written again is given up: the picture matters more. `exif` itself is left as it is.
    """
    kept = Image.Exif()
    kept.endian = exif.endian
    try:
        for directory in _SUB_DIRECTORIES:
            values = {tag: value for tag, value in exif.get_ifd(directory).items() if tag not in _CHANGED_WITHIN}
            if ExifTags.IFD.Interop in values:
                values[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
            if values:
                kept[directory] = values
        skipped = _CHANGED.union(_SUB_DIRECTORIES, set(exif) - _DESCRIPTIVE_TAGS if tiff else ())
        kept.update((tag, value) for tag, value in exif.items() if tag not in skipped)
        return kept.tobytes() if len(kept) else None
    except (struct.error, TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None


def upright_xmp(xmp: Any) -> bytes | None:
    """Return XMP with the orientation set to upright, None if there is none."""
    if not xmp:
        return None
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp.encode("utf-8") if isinstance(xmp, str) else bytes(xmp))


def upright_resolution(dpi: Any, exif: Image.Exif, orientation: int) -> Resolution | None:
    """Return the resolution of a picture that was stored in an orientation (1..8), None if nothing states it.

    Parameters
    ----------
    dpi
        What the file states, or None for what its Exif data states.
    exif
        Its Exif data.
    orientation
        1..8.
    """
    try:
        if dpi is None:
            factor = MILLIMETRES_IN_INCH / 10 if exif.get(ExifTags.Base.ResolutionUnit) == _CENTIMETRE else 1
            dpi = [factor * float(exif[tag]) for tag in _RESOLUTION]
        across, down = (float(value) for value in dpi)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 1 < value < 1e6 for value in (across, down)):
        return None
    return (down, across) if orientation >= _FIRST_TURNED else (across, down)
