"""Colours as networks take them: grey stays grey, all else becomes RGB."""

from __future__ import annotations

from typing import Any

UNSTATED_RANGE = (
    "numbers with a sign or a fraction and 32-bit numbers have no stated range; save the image with 8 or 16 bits"
)

_KEPT = frozenset({"b-w", "grey16", "srgb", "rgb", "rgb16"})
_CMYK = "cmyk"


def grey_or_rgb(image: Any) -> Any:
    """Convert an image of libvips where it is neither grey nor RGB; its depth stays.

    CMYK goes by the image's colour profile, or by the usual one of a printing press where it has none for CMYK.
    """
    if image.interpretation in _KEPT:
        return image
    deep = image.format == "ushort"
    if image.interpretation == _CMYK:
        return image.icc_transform(
            "srgb", embedded=True, intent="relative", black_point_compensation=True, depth=16 if deep else 8
        )
    return image.colourspace("rgb16" if deep else "srgb")


def profile_of(image: Any) -> bytes | None:
    """Return the colour profile that describes what :func:`grey_or_rgb` makes of an image of libvips."""
    has_one = image.interpretation in _KEPT and "icc-profile-data" in image.get_fields()
    return image.get("icc-profile-data") if has_one else None
