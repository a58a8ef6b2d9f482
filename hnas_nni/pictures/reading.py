"""Reading picture files with all that belongs to them; 16 bits a channel stay 16 bits."""

from __future__ import annotations

import os
import struct
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from hnas_nni.data.opening import ImageError, is_heic, open_image
from hnas_nni.data.quiet_decoders import quiet_decoding
from hnas_nni.data.tiff import within_its_end
from hnas_nni.pictures import metadata
from hnas_nni.pictures.colours import UNSTATED_RANGE, grey_or_rgb, profile_of
from hnas_nni.pictures.libvips import libvips, reason
from hnas_nni.pictures.picture import Picture, split_channels
from hnas_nni.pictures.pillow import from_pillow
from hnas_nni.settings import MAX_MEGAPIXELS

_DEPTHS = ("uchar", "ushort")
_CHANNELS = {"b-w": (1, 2), "grey16": (1, 2), "srgb": (3, 4), "rgb": (3, 4), "rgb16": (3, 4)}
"""Without and with alpha, by what libvips calls the colours."""

_NOTHING_STATED = (1.0, 2.834)
"""Dots per millimetre that libvips gives to files without a resolution."""


@quiet_decoding
def read_picture(path: str | os.PathLike[str], max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a picture file of any kind that libvips or Pillow decodes; its content decides which.

    8 and 16 bits a channel are kept for grey and colour, with and without alpha. Palettes become RGB, and so does
    CMYK, by its colour profile or that of a usual printing press. The Exif orientation is applied, and of several
    frames the first is taken.

    Parameters
    ----------
    path
        The file.
    max_megapixels
        The largest picture that is accepted: a small file can hold a picture that fills the memory.

    Raises
    ------
    ImageError
        If the file is missing, damaged, cut short, no picture or too large, or holds numbers whose range nothing
        states.
    """
    path = Path(path)
    pyvips = libvips()
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_heic(path):  # which libvips has no decoder for
                return _read_by_pillow(path, max_megapixels)
            sound = within_its_end(path)
            source = (
                pyvips.Source.new_from_descriptor(file.fileno())
                if sound is None
                else pyvips.Source.new_from_memory(sound)
            )
            try:
                image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
            except pyvips.Error as error:
                if "known format" not in str(error):
                    raise
                return _read_by_pillow(path, max_megapixels)
            return _read_by_libvips(image, file, max_megapixels)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image that Pillow knows") from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into the memory") from error
    except pyvips.Error as error:
        raise ImageError(f"{path}: {_explained(reason(error))}") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more.
        why = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: cannot be read as an image: {why}") from error


def _explained(why: str) -> str:
    if "out of memory" in why:
        return "does not fit into the memory"
    if "nsupported" in why or "compression" in why.lower():
        return f"{why}; save it in another format, or with another compression"
    return f"damaged or cut short: {why}"


def _read_by_libvips(image: Any, file: BinaryIO, max_megapixels: float) -> Picture:
    _check_size(image.width, image.height, max_megapixels)
    if image.format not in _DEPTHS:
        raise ImageError(UNSTATED_RANGE)
    colours = grey_or_rgb(image)
    if colours.bands not in _CHANNELS[colours.interpretation]:
        raise ImageError(f"has {colours.bands} channels; grey and RGB can be read, with or without alpha")
    told = set(image.get_fields())
    orientation = image.get("orientation") if "orientation" in told else 1
    if orientation != 1:
        colours = colours.copy_memory().autorot()  # to turn it, the rows are needed in another order
    pixels, alpha = split_channels(colours.numpy())
    format = image.get("vips-loader").partition("load")[0].upper()
    exif = Image.Exif()
    with suppress(SyntaxError, ValueError, OSError, struct.error):  # damaged, which the pixels are not
        if format == "TIFF":  # whose Exif data libvips leaves alone
            file.seek(0)
            exif.load_from_fp(file)
        elif "exif-data" in told:
            exif.load(image.get("exif-data"))
    states_resolution = image.xres not in _NOTHING_STATED and (format == "PNG" or "resolution-unit" in told)
    dpi = [metadata.MILLIMETRES_IN_INCH * dots for dots in (image.xres, image.yres)] if states_resolution else None
    return Picture(
        pixels,
        alpha,
        profile_of(image),
        metadata.upright_exif(exif, tiff=format == "TIFF"),
        format,
        image.get("n-pages") if "n-pages" in told else 1,
        metadata.upright_xmp(image.get("xmp-data") if "xmp-data" in told else None),
        metadata.upright_resolution(dpi, exif, orientation),
    )


def _read_by_pillow(path: Path, max_megapixels: float) -> Picture:
    """Read BMP, PPM and what else libvips does not know; by another descriptor than the one that libvips has moved."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with open_image(path) as image:
            _check_size(*image.size, max_megapixels)
            return from_pillow(image)
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"is {width}x{height}, {width * height / 1e6:.0f} megapixels, more than {max_megapixels:g}; "
            "if you trust the file, raise --max-megapixels"
        )
