"""An image with all that is to survive upscaling: depth, transparency, colour profile, Exif data, XMP, resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from hnas_nni.data import ImageError
from hnas_nni.pictures import metadata

Pixels = npt.NDArray[Any]
"""An image: uint8, uint16, or float32 in 0..1, of shape (h, w, 3), or (h, w, 1) for grey."""

_PLAIN_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
"""Modes whose grey stays grey; all others, for example CMYK, become RGB."""

_OTHER_COLOURS = frozenset({"CMYK", "LAB", "HSV", "YCbCr"})
"""A colour profile made for these does not describe RGB."""

_ROWS_AT_ONCE = 256
"""So many rows of an image are taken out of Pillow at a time, which makes several copies of them."""


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
        return replace(self, pixels=in_8_bits(self.pixels), alpha=None if self.alpha is None else in_8_bits(self.alpha))


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

    def strips(self, height: int) -> Iterator[Pixels]:
        """Cut the bands into strips of one height, the last of them shorter."""
        rest: Pixels | None = None
        for band in self.bands:
            if rest is not None:
                missing = height - len(rest)
                rest, band = np.concatenate([rest, band[:missing]]), band[missing:]
                if len(rest) == height:
                    yield rest
                    rest = None
            whole = len(band) // height * height
            for top in range(0, whole, height):
                yield band[top : top + height]
            if whole < len(band):
                rest = band[whole:].copy()  # not to keep the band
        if rest is not None:
            yield rest

    def in_8_bits(self) -> PictureRows:
        """Return the same with 8 bits a channel, rounded band by band."""
        return replace(self, dtype=np.dtype(np.uint8), bands=map(in_8_bits, self.bands))


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


def with_clear_colour(channels: npt.NDArray[Any], colour: Any) -> npt.NDArray[Any]:
    """Add opacity to 16-bit channels of which one colour is transparent (PNG specification, section 11.3.1.1)."""
    channels = channels.reshape(*channels.shape[:2], -1)
    clear = (channels == np.asarray(colour)).all(axis=2, keepdims=True)
    return np.concatenate([channels, np.where(clear, 0, np.iinfo(np.uint16).max).astype(np.uint16)], axis=2)


def _channels(image: Image.Image) -> npt.NDArray[Any]:
    image.load()  # mode and size may be others before
    if image.mode.startswith(("I", "F")):
        return _levels(image)
    mode = _PLAIN_MODES.get(image.mode, "RGB")
    if image.has_transparency_data:
        mode = "LA" if mode in {"L", "LA"} else "RGBA"
    convert = _conversion(image, mode)
    channels = np.empty((image.height, image.width, len(mode)), np.uint8)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, image.height)
        rows = convert(image.crop((0, top, image.width, bottom)))
        channels[top:bottom] = np.asarray(rows).reshape(bottom - top, image.width, -1)
    return channels


def _levels(image: Image.Image) -> npt.NDArray[np.uint16]:
    levels = np.asarray(image)
    if image.mode.startswith("F") or levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
        raise ImageError("32-bit numbers have no stated range; save the image with 8 or 16 bits")
    levels = levels.astype(np.uint16)
    return with_clear_colour(levels, image.info["transparency"]) if image.has_transparency_data else levels


def _conversion(image: Image.Image, mode: str) -> Callable[[Image.Image], Image.Image]:
    """Return what brings parts of an image to another mode: CMYK with a colour profile by that, to sRGB."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and profile:
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                image.mode,
                mode,
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile, or one for other colours
        else:
            return transform.apply
    return lambda part: part if part.mode == mode else part.convert(mode)


def put_together(rows: PictureRows) -> Image.Image:
    """Make a Pillow image of a picture of 8 bits, band by band, so that there is no other copy of the whole."""
    height, width, channels = rows.shape
    image = Image.new({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels], (width, height))
    top = 0
    for band in rows.bands:
        image.paste(Image.fromarray(band[..., 0] if channels == 1 else band), (0, top))
        top += len(band)
    return image


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
