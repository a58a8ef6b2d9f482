"""An image with all that is to survive upscaling: depth, transparency, colour profile, Exif data, XMP, resolution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hnas_nni.pictures.metadata import Resolution

Pixels = npt.NDArray[Any]
"""An image: uint8, uint16, or float32 in 0..1, of shape (h, w, 3), or (h, w, 1) for grey."""


@dataclass
class Picture:
    """An upright image and what belongs to it.

    Parameters
    ----------
    pixels
        uint8 or uint16, (h, w, 3), or (h, w, 1) for grey.
    alpha
        Opacity, (h, w, 1) of the same type, if there is one.
    icc_profile
        Colour profile.
    exif
        Exif data, without an orientation.
    format
        Pillow's name of the file's format, "" if it came from no file.
    frames
        How many frames the file has; this is the first.
    xmp
        XMP, without an orientation.
    dpi
        Dots per inch, across and down.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    format: str = ""
    frames: int = 1
    xmp: bytes | None = None
    dpi: Resolution | None = None

    @property
    def has_transparent_parts(self) -> bool:
        """Whether the opacity, if there is one, is not full everywhere."""
        return self.alpha is not None and bool((self.alpha < peak_of(self.alpha.dtype)).any())

    @property
    def channels(self) -> Pixels:
        """Colour and opacity in one array, (h, w, 1 to 4)."""
        return self.pixels if self.alpha is None else np.concatenate([self.pixels, self.alpha], axis=2)


@dataclass
class PictureRows:
    """A picture in bands from top to bottom, which together need not fit into the memory.

    Parameters
    ----------
    shape
        (h, w, channels), as of :attr:`Picture.channels`.
    dtype
        uint8 or uint16.
    bands
        Arrays (rows, w, channels), h rows in all.
    about
        A picture with the same profile, Exif data and so on.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    bands: Iterable[Pixels]
    about: Picture

    def in_8_bits(self) -> PictureRows:
        """Return the same with 8 bits a channel, rounded band by band."""
        return replace(self, dtype=np.dtype(np.uint8), bands=map(in_8_bits, self.bands))


def peak_of(dtype: np.dtype[Any]) -> int:
    """Return what white, or opaque, is in a type: 255, 65535, or 1 in floating point."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def in_8_bits(channels: Pixels) -> Pixels:
    """Return channels with 8 bits, 65535 becoming 255, rounded."""
    if channels.dtype == np.uint8:
        return channels
    return ((channels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def split_channels(channels: npt.NDArray[Any]) -> tuple[Pixels, Pixels | None]:
    """Split (h, w) or (h, w, 1 to 4) into colour (h, w, 1 or 3) and opacity (h, w, 1), if there is one."""
    if channels.ndim == 2:
        channels = channels[..., None]
    if channels.shape[2] in (2, 4):
        return channels[..., :-1], channels[..., -1:]
    return channels, None
