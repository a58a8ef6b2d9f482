"""Reading and writing picture files with all that belongs to them; 16 bits a channel stay 16 bits."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hnas_nni.data import ImageError
from hnas_nni.files import replacing
from hnas_nni.pictures.jpeg import write_jpeg
from hnas_nni.pictures.pictures import Picture, PictureRows, from_pillow, put_together, with_clear_colour
from hnas_nni.pictures.png import XMP_KEYWORD, write_png_bands
from hnas_nni.pictures.tiff import SIGNATURES, read_deep_tiff, write_tiff
from hnas_nni.settings import JPEG_QUALITY, MAX_MEGAPIXELS


class FileFormat(NamedTuple):
    """What a format of picture files can hold."""

    suffix: str
    deep: bool
    """16 bits a channel."""
    alpha: bool
    largest_side: int
    lossy: bool = False


FORMATS = {
    "PNG": FileFormat(".png", deep=True, alpha=True, largest_side=2**31 - 1),
    "TIFF": FileFormat(".tif", deep=True, alpha=True, largest_side=2**31 - 1),
    "JPEG": FileFormat(".jpg", deep=False, alpha=False, largest_side=65_500, lossy=True),
    "WEBP": FileFormat(".webp", deep=False, alpha=True, largest_side=16_383, lossy=True),
    "BMP": FileFormat(".bmp", deep=False, alpha=False, largest_side=2**31 - 1),
    "PPM": FileFormat(".ppm", deep=False, alpha=False, largest_side=2**31 - 1),
}
"""Formats that can be written, by Pillow's names."""

_LARGE = 10**8
"""Numbers in a picture from which Pillow's copy of it is too much memory."""

_PNG_HEADER = struct.Struct(">8s8xIIBB")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _GREY_ALPHA = 0, 4
_DEEP_MODES = {2: "RGB", 6: "RGBA"}
"""Pillow's modes by PNG's colour types."""

_LONGEST_JPEG_PART = 65_533 - len(b"http://ns.adobe.com/xap/1.0/\0")
"""A segment's length is a number of 16 bits; what is longer is left out."""


def read_picture(path: str | os.PathLike[str], max_megapixels: float = MAX_MEGAPIXELS) -> Picture:
    """Read a picture file of any kind that Pillow decodes.

    16 bits a channel are kept for grey and colour, with and without alpha, of PNG, and of TIFF that is not compressed
    or by Deflate or PackBits (others, as LZW, need the extra ``tiff``). Palettes become RGB, and so does CMYK, by its
    colour profile if there is one. The Exif orientation is applied, and of several frames the first is taken.

    Parameters
    ----------
    path
        The file.
    max_megapixels
        The largest picture that is accepted: a small file can hold a picture that fills the memory.

    Raises
    ------
    ImageError
        If the file is missing, cut short, no picture or too large, or holds 32-bit numbers.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(_PNG_HEADER.size)
        with _limit(max_megapixels):
            if start[:4] in SIGNATURES:
                picture = read_deep_tiff(path, lambda width, height: _check_size(width, height, max_megapixels))
                if picture is not None:
                    return picture
            with Image.open(path) as image:
                _check_size(*image.size, max_megapixels)
                if len(start) == _PNG_HEADER.size and start.startswith(_PNG_SIGNATURE):
                    *_, depth, colour_type = _PNG_HEADER.unpack(start)
                    if depth == 16 and colour_type != _GREY:
                        return _read_deep_png(path, colour_type)
                return from_pillow(image)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image that Pillow knows") from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into the memory") from error
    except Exception as error:  # Decoders raise OSError, SyntaxError, ValueError, struct.error and more.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: cannot be read as an image: {reason}") from error


def output_format(picture: Picture, asked: str | None, scale: int) -> str:
    """Return the format to write an enlarged picture in: the one asked for, its own, or else PNG.

    Raises
    ------
    ImageError
        If the format can't hold a picture of that size, or its transparent parts.
    """
    name = asked or (picture.format if picture.format in FORMATS else "PNG")
    kind = FORMATS[name]
    side = scale * max(picture.pixels.shape[:2])
    if side > kind.largest_side:
        raise ImageError(f"would be {side} pixels long, and {name} holds {kind.largest_side}; give --format png")
    if picture.alpha is not None and not kind.alpha:
        raise ImageError(f"has transparent parts, which {name} can't hold; give --format png")
    return name


def write_picture(picture: Picture, path: str | os.PathLike[str], format: str, quality: int = JPEG_QUALITY) -> None:
    """Write a picture file, whole or not at all; for the parameters see :func:`write_rows`."""
    write_rows(PictureRows.of(picture), path, format, quality)


def write_rows(rows: PictureRows, path: str | os.PathLike[str], format: str, quality: int = JPEG_QUALITY) -> None:
    """Write a picture file as its rows come, whole or not at all.

    JPEG, TIFF and large PNG files are written strip by strip; of other formats the picture is put together first.

    Parameters
    ----------
    rows
        The picture; 16-bit ones are rounded to 8 bits where the format holds no more.
    path
        The file.
    format
        One of :data:`FORMATS`.
    quality
        Of JPEG and WebP, 1..100.

    Raises
    ------
    ImageError
        If the format can't hold the picture.
    FileNotFoundError
        If the folder does not exist.
    """
    kind, about = FORMATS[format], rows.about
    if not kind.deep:
        rows = rows.in_8_bits()
    with replacing(path) as temporary:
        if format == "TIFF":
            write_tiff(temporary, rows)
        elif format == "JPEG":
            write_jpeg(temporary, rows, quality, _options(about, format))
        elif format == "PNG" and (rows.dtype == np.uint16 or math.prod(rows.shape) > _LARGE):
            about_png = {"icc_profile": about.icc_profile, "exif": about.exif, "xmp": about.xmp}
            write_png_bands(temporary, rows.bands, rows.shape, rows.dtype, dpi=about.dpi, **about_png)
        else:
            options = _options(about, format) | ({"quality": quality} if kind.lossy else {})
            image = put_together(rows)
            with io.BufferedWriter(_Stream(temporary, "wb")) as file, _explaining(format):
                image.save(file, format, **options)


@contextmanager
def _explaining(format: str) -> Iterator[None]:
    """Say what to do where an encoder gives up: the length of WebP's sides is not all that is limited."""
    try:
        yield
    except ValueError as error:
        message = f"can't be written as {format} ({error}); give a lower --quality, or --format png"
        raise ImageError(message) from error


class _Stream(io.FileIO):
    """A file that keeps its descriptor to itself: to that Pillow would write without saying what the system says."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _options(about: Picture, format: str) -> dict[str, Any]:
    """Return what Pillow is to say of a picture in a format, as far as the format can hold it."""
    options: dict[str, Any] = {"icc_profile": about.icc_profile, "exif": about.exif, "dpi": about.dpi}
    if format == "PNG":
        options["pnginfo"] = _png_texts(about.xmp)
    else:
        options["xmp"] = about.xmp
    if format == "JPEG":
        for name in ("exif", "xmp"):
            if len(options[name] or b"") > _LONGEST_JPEG_PART:
                options[name] = None
    return {name: value for name, value in options.items() if value is not None}


def _png_texts(xmp: bytes | None) -> PngInfo | None:
    if not xmp:
        return None
    texts = PngInfo()
    texts.add_itxt(XMP_KEYWORD.decode("ascii"), xmp.decode("utf-8", "replace"))
    return texts


@contextmanager
def _limit(max_megapixels: float) -> Iterator[None]:
    """Have Pillow accept as many pixels as we do, for the while, and keep its remarks on damaged files to itself."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max(1, int(max_megapixels * 1e6)) * 2  # it warns from here, and refuses twice as many
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"is {width}x{height}, {width * height / 1e6:.0f} megapixels, more than {max_megapixels:g}; "
            "if you trust the file, raise --max-megapixels"
        )


def _read_deep_png(path: Path, colour_type: int) -> Picture:
    """A PNG of 16 bits a channel that is not plain grey, which Pillow alone would cut to 8 bits.

    Its decoder takes the first of a number's two bytes if told that they come in the file's order, and the second if
    told the other order. Grey with alpha it gives as the four bytes that they are.
    """
    if colour_type == _GREY_ALPHA:
        image, raw = _decoded(path, "RGBA")
        return from_pillow(image, raw.view(">u2").astype(np.uint16))
    mode = _DEEP_MODES[colour_type]
    _, low = _decoded(path, f"{mode};16L")
    image, high = _decoded(path, f"{mode};16B")
    channels = high.astype(np.uint16) << 8 | low
    if "transparency" in image.info:
        channels = with_clear_colour(channels, image.info["transparency"])
    return from_pillow(image, channels)


def _decoded(path: Path, raw_mode: str) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Read an image with the bytes taken as another of Pillow's raw modes."""
    with Image.open(path) as image:
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        return image, np.array(image)
