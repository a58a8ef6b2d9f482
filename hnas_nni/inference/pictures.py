"""An image with all that is to survive upscaling: depth, transparency, colour profile, Exif data, XMP, resolution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from hnas_nni.data import ImageError
from hnas_nni.inference import metadata
from hnas_nni.inference.models import Pixels

_PLAIN_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
"""Modes whose grey stays grey; all others, for example CMYK, become RGB."""

_OTHER_COLOURS = frozenset({"CMYK", "LAB", "HSV", "YCbCr"})
"""A colour profile made for these does not describe RGB."""


@dataclass
class Picture:
    """An upright image and what belongs to it.

    Parameters
    ----------
    pixels
        uint8 or uint16, (h, w, 3), or (h, w, 1) for grey.
    alpha
        Opacity, (h, w, 1) of the same type, if there are transparent parts.
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
    dpi: metadata.Resolution | None = None

    @property
    def channels(self) -> Pixels:
        """Colour and opacity in one array, (h, w, 1 to 4)."""
        return self.pixels if self.alpha is None else np.concatenate([self.pixels, self.alpha], axis=2)

    def in_8_bits(self) -> Picture:
        """Return the same with 8 bits a channel, 65535 becoming 255, rounded."""
        if self.pixels.dtype == np.uint8:
            return self
        pixels, alpha = (
            None if channels is None else ((channels.astype(np.uint32) + 128) // 257).astype(np.uint8)
            for channels in (self.pixels, self.alpha)
        )
        assert pixels is not None
        return replace(self, pixels=pixels, alpha=alpha)


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

    @classmethod
    def of(cls, picture: Picture) -> PictureRows:
        """Return a whole picture as a single band."""
        channels = picture.channels
        return cls(channels.shape, channels.dtype, [channels], picture)


def split_channels(channels: npt.NDArray[Any]) -> tuple[Pixels, Pixels | None]:
    """Split (h, w) or (h, w, 1 to 4) into colour (h, w, 1 or 3) and opacity (h, w, 1), if there is one."""
    if channels.ndim == 2:
        channels = channels[..., None]
    if channels.shape[2] in (2, 4):
        return channels[..., :-1], channels[..., -1:]
    return channels, None


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn and mirror an image as its Exif orientation (1..8) says; it is left as it is for any other number."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def from_pillow(image: Image.Image, channels: npt.NDArray[Any] | None = None) -> Picture:
    """Make a picture of a Pillow image, the orientation that it states applied.

    Parameters
    ----------
    image
        The image.
    channels
        What to take for its pixels, as they are in the file, (h, w, 1 to 4); by default its own.

    Raises
    ------
    ImageError
        If it holds 32-bit numbers, whose range nothing states.
    """
    # Pillow turns TIFF images itself when their pixels are read, and forgets that it did.
    turned = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1)
    if channels is None:
        channels = _channels(image)
    exif = image.getexif()  # after the pixels: Exif data can lie behind them
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    stored = orientation if image.format != "TIFF" else turned
    profile = None if image.mode in _OTHER_COLOURS else image.info.get("icc_profile")
    pixels, alpha = split_channels(upright(channels, orientation))
    return Picture(
        pixels,
        alpha,
        profile,
        metadata.exif_of_upright(exif, stored, tiff=image.format == "TIFF"),
        image.format or "",
        getattr(image, "n_frames", 1),
        metadata.upright_xmp(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")),
        metadata.turned_resolution(metadata.resolution(image.info.get("dpi")), stored),
    )


def _channels(image: Image.Image) -> npt.NDArray[Any]:
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image)
        if image.mode.startswith("F") or levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
            raise ImageError("32-bit numbers have no stated range; save the image with 8 or 16 bits")
        return levels.astype(np.uint16)
    mode = _PLAIN_MODES.get(image.mode, "RGB")
    if image.has_transparency_data:
        mode = "LA" if mode in {"L", "LA"} else "RGBA"
    return np.array(image if image.mode == mode else image.convert(mode))


def to_pillow(picture: Picture) -> Image.Image:
    """Make a Pillow image: mode L, LA, RGB or RGBA, I;16 for 16-bit grey; other 16-bit images get 8 bits."""
    channels = picture.channels
    if channels.shape[2] == 1:
        image = Image.fromarray(channels[..., 0])
    else:
        image = Image.fromarray(picture.in_8_bits().channels)
    if picture.icc_profile:
        image.info["icc_profile"] = picture.icc_profile
    for name in ("exif", "xmp", "dpi"):
        if value := getattr(picture, name):
            image.info[name] = value
    return image
