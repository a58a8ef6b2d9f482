"""Pillow's images as pictures, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from hnas_nni.data import ImageError
from hnas_nni.pictures import metadata
from hnas_nni.pictures.colours import UNSTATED_RANGE, grey_or_rgb
from hnas_nni.pictures.libvips import libvips
from hnas_nni.pictures.picture import Picture, in_8_bits, split_channels

_PLAIN_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
"""Modes whose grey stays grey; all others become RGB."""

_OTHER_COLOURS = frozenset({"CMYK", "LAB", "HSV", "YCbCr"})
"""A colour profile made for these does not describe RGB."""

_ROWS_AT_ONCE = 256
"""So many rows of an image are taken out of Pillow at a time, which makes several copies of them."""


def from_pillow(image: Image.Image) -> Picture:
    """Make a picture of a Pillow image, the orientation that it states applied.

    Raises
    ------
    ImageError
        If it holds 32-bit numbers, whose range nothing states.
    """
    exif = image.getexif()
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    image.load()  # mode and size may be others before; a TIFF image turns itself here
    turned = ImageOps.exif_transpose(image)
    info = turned.info
    pixels, alpha = split_channels(_channels(turned))
    return Picture(
        pixels,
        alpha,
        None if image.mode in _OTHER_COLOURS else info.get("icc_profile"),
        metadata.upright_exif(turned.getexif(), tiff=image.format == "TIFF"),
        image.format or "",
        getattr(image, "n_frames", 1),
        metadata.upright_xmp(info.get("xmp") or info.get("XML:com.adobe.xmp")),
        metadata.upright_resolution(info.get("dpi"), exif, orientation),
    )


def to_pillow(picture: Picture) -> Image.Image:
    """Make a Pillow image: mode L, LA, RGB or RGBA, I;16 for 16-bit grey; other 16-bit images get 8 bits."""
    channels = picture.channels
    image = Image.fromarray(channels[..., 0] if channels.shape[2] == 1 else in_8_bits(channels))
    for name in ("icc_profile", "exif", "xmp", "dpi"):
        if value := getattr(picture, name):
            image.info[name] = value
    return image


def _channels(image: Image.Image) -> npt.NDArray[np.uint8 | np.uint16]:
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image)
        if image.mode.startswith("F") or levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
            raise ImageError(UNSTATED_RANGE)
        return levels.astype(np.uint16)
    if image.mode == "CMYK":
        return _from_cmyk(image)
    mode = _PLAIN_MODES.get(image.mode, "RGB")
    if image.has_transparency_data:
        mode = "LA" if mode in {"L", "LA"} else "RGBA"
    channels = np.empty((image.height, image.width, len(mode)), np.uint8)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, image.height)
        rows = image.crop((0, top, image.width, bottom)).convert(mode)
        channels[top:bottom] = np.asarray(rows).reshape(bottom - top, image.width, -1)
    return channels


def _from_cmyk(image: Image.Image) -> npt.NDArray[np.uint8]:
    pyvips = libvips()
    inks = pyvips.Image.new_from_array(np.asarray(image)).copy(interpretation="cmyk")
    if profile := image.info.get("icc_profile"):
        inks.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return grey_or_rgb(inks).numpy()
