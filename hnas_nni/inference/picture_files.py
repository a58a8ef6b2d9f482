"""Reading and writing picture files with all that belongs to them; 16 bits a channel stay 16 bits."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from hnas_nni.data import ImageError
from hnas_nni.files import replacing
from hnas_nni.inference.pictures import Picture, from_pillow, split_channels, to_pillow, upright
from hnas_nni.inference.png import write_png


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

DEFAULT_MEGAPIXELS = 250
DEFAULT_QUALITY = 95

_PNG_HEADER = struct.Struct(">8s8xIIBB")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _GREY_ALPHA = 0, 4
_DEEP_MODES = {2: "RGB", 6: "RGBA"}
"""Pillow's modes by PNG's colour types."""

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _ICC_PROFILE = 274, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_SEPARATE_PLANES = 2
_PREMULTIPLIED = 1
_UNSIGNED = 1


def read_picture(path: str | os.PathLike[str], max_megapixels: float = DEFAULT_MEGAPIXELS) -> Picture:
    """Read a picture file of any kind that Pillow decodes.

    16 bits a channel are kept for grey and colour, with and without alpha, of PNG, and of TIFF that is not compressed
    or by Deflate or PackBits (others need the package imagecodecs). Palettes and CMYK become RGB. The Exif
    orientation is applied, and of several frames the first is taken.

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
            if start[:4] in _TIFF_SIGNATURES:
                picture = _read_deep_tiff(path, max_megapixels)
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


def write_picture(picture: Picture, path: str | os.PathLike[str], format: str, quality: int = DEFAULT_QUALITY) -> None:
    """Write a picture file, whole or not at all.

    Parameters
    ----------
    picture
        The picture; 16-bit ones are rounded to 8 bits where the format holds no more.
    path
        The file.
    format
        One of :data:`FORMATS`.
    quality
        Of JPEG and WebP, 1..100.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    with replacing(path) as temporary:
        if not FORMATS[format].deep:
            picture = picture.in_8_bits()
        if format == "TIFF":
            _write_tiff(temporary, picture)
            return
        if format == "PNG" and (picture.pixels.dtype == np.uint16 or picture.pixels.size > _LARGE):
            write_png(temporary, picture.channels, icc_profile=picture.icc_profile, exif=picture.exif)
            return
        options: dict[str, object] = {"icc_profile": picture.icc_profile} if picture.icc_profile else {}
        if picture.exif:
            options["exif"] = picture.exif
        if FORMATS[format].lossy:
            options["quality"] = quality
        if format == "JPEG":
            options["subsampling"] = 0
        to_pillow(picture).save(temporary, format, **options)


@contextmanager
def _limit(max_megapixels: float) -> Iterator[None]:
    """Have Pillow accept as many pixels as we do, for the while."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max(1, int(max_megapixels * 1e6)) * 2  # it warns from here, and refuses twice as many
    try:
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
    return from_pillow(image, high.astype(np.uint16) << 8 | low)


def _decoded(path: Path, raw_mode: str) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Read an image with the bytes taken as another of Pillow's raw modes."""
    with Image.open(path) as image:
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        return image, np.array(image)


def _read_deep_tiff(path: Path, max_megapixels: float) -> Picture | None:
    """A TIFF of 16 bits a channel, None if it is of another depth."""
    from tifffile import TiffFile

    with TiffFile(path) as file:
        page = file.pages.first
        if page.bitspersample != 16:
            return None
        _check_size(page.imagewidth, page.imagelength, max_megapixels)
        if page.sampleformat != _UNSIGNED:
            raise ImageError("16-bit numbers with a sign or a fraction have no stated range; save it unsigned")
        if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or page.samplesperpixel > 4:
            raise ImageError("of TIFF files with 16 bits, grey and RGB can be read, with or without alpha")
        if _PREMULTIPLIED in page.extrasamples:
            raise ImageError("its colours are multiplied by its alpha; save it with straight alpha")
        channels = page.asarray()
        if page.planarconfig == _SEPARATE_PLANES and channels.ndim == 3:
            channels = channels.transpose(1, 2, 0)
        tags = {tag.code: tag.value for tag in page.tags}
        pixels, alpha = split_channels(upright(channels, tags.get(_ORIENTATION, 1)))
        if page.photometric == _WHITE_IS_ZERO:
            pixels = np.iinfo(np.uint16).max - pixels
        return Picture(pixels, alpha, tags.get(_ICC_PROFILE), None, "TIFF", len(file.pages))


def _write_tiff(path: Path, picture: Picture) -> None:
    from tifffile import imwrite

    channels = picture.channels
    imwrite(
        path,
        channels if channels.shape[2] > 1 else channels[..., 0],
        photometric="rgb" if picture.pixels.shape[2] == 3 else "minisblack",
        planarconfig="contig" if channels.shape[2] > 1 else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="deflate",
        iccprofile=picture.icc_profile,
        metadata=None,
    )
