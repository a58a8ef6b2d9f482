"""Writing picture files as their rows come, with all that belongs to them."""

from __future__ import annotations

import io
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from hnas_nni.data import ImageError
from hnas_nni.files import WRITE_ERRORS, replacing
from hnas_nni.pictures.libvips import libvips, reason
from hnas_nni.pictures.metadata import ASSUMED_RESOLUTION, MILLIMETRES_IN_INCH
from hnas_nni.pictures.picture import Picture, PictureRows
from hnas_nni.pictures.raw_stream import raw_stream
from hnas_nni.settings import JPEG_QUALITY


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

_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "PNG": ("pngsave_target", {"filter": "all"}),
    "TIFF": ("tiffsave_target", {"compression": "deflate", "predictor": "horizontal"}),
    "JPEG": ("jpegsave_target", {"subsample_mode": "off"}),
    "WEBP": ("webpsave_target", {}),
}
"""What libvips writes, and how; the other formats are Pillow's."""

_CLASSIC_TIFF_BYTES = 2**32 - 2**26
"""Offsets of 32 bits reach so far, with some room for what is not pixels."""


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
    if picture.has_transparent_parts and not kind.alpha:
        raise ImageError(f"has transparent parts, which {name} can't hold; give --format png")
    return name


def write_rows(rows: PictureRows, path: str | os.PathLike[str], format: str, quality: int = JPEG_QUALITY) -> None:
    """Write a picture file as its rows come, whole or not at all.

    libvips encodes PNG, JPEG and TIFF files while the rows come; other pictures are put together first.

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
    OSError
        If the file can't be written, of the disk being full for example.
    """
    if not FORMATS[format].deep:
        rows = rows.in_8_bits()
    with replacing(path) as temporary:
        if format in _SAVERS:
            _write_by_libvips(rows, temporary, format, {"Q": quality} if FORMATS[format].lossy else {})
        else:
            _write_by_pillow(rows, temporary, format)


def _write_by_libvips(rows: PictureRows, path: Path, format: str, options: dict[str, Any]) -> None:
    """Let libvips encode in a thread what this one computes, so that here an interrupt still counts at once."""
    if format == "TIFF":
        options["bigtiff"] = math.prod(rows.shape) * rows.dtype.itemsize > _CLASSIC_TIFF_BYTES
    pyvips = libvips()
    with path.open("w+b") as file, ThreadPoolExecutor(1) as pool:
        reader, writer = os.pipe()
        encoded = pool.submit(_encode, pyvips, reader, file, format, options, rows.about)
        try:
            with open(writer, "wb") as pipe:
                for part in raw_stream(rows):
                    pipe.write(part)
        except BrokenPipeError:
            pass  # it gave up, and says why
        encoded.result()


def _encode(pyvips: Any, reader: int, file: BinaryIO, format: str, options: dict[str, Any], about: Picture) -> None:
    try:
        # Given the reader itself, libvips would keep it open while anything refers to the source.
        source = pyvips.SourceCustom()
        source.on_read(lambda size: os.read(reader, size))
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
        across, down = about.dpi or (ASSUMED_RESOLUTION, ASSUMED_RESOLUTION)
        image = image.copy(xres=across / MILLIMETRES_IN_INCH, yres=down / MILLIMETRES_IN_INCH)
        blobs = {"icc-profile-data": about.icc_profile, "exif-data": about.exif, "xmp-data": about.xmp}
        for name, blob in blobs.items():
            if blob:
                image.set_type(pyvips.GValue.blob_type, name, blob)
        keep = "all" if about.exif or about.dpi else "icc|xmp"  # or else it makes up Exif data
        saver, usual = _SAVERS[format]
        target = pyvips.Target.new_to_descriptor(file.fileno())
        getattr(image, saver)(target, keep=keep, **usual, **options)
    except pyvips.Error as error:
        for number in WRITE_ERRORS:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise ImageError(
            f"can't be written as {format} ({reason(error)}); give a lower --quality, or --format png"
        ) from error
    finally:
        os.close(reader)


def _write_by_pillow(rows: PictureRows, path: Path, format: str) -> None:
    height, width, channels = rows.shape
    image = Image.new("L" if channels == 1 else "RGB", (width, height))
    top = 0
    for band in rows.bands:  # put together without another copy of the whole
        image.paste(Image.fromarray(band[..., 0] if channels == 1 else band), (0, top))
        top += len(band)
    with io.BufferedWriter(_Stream(path, "wb")) as file:
        image.save(file, format, **({"dpi": rows.about.dpi} if rows.about.dpi else {}))


class _Stream(io.FileIO):
    """A file that keeps its descriptor to itself: to that Pillow would write without saying what the system says."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")
