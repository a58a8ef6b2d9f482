"""TIFF files: 16 bits a channel, which Pillow can't read or write, and large ones, written strip by strip."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hnas_nni.data import ImageError
from hnas_nni.pictures import metadata
from hnas_nni.pictures.pictures import Picture, PictureRows, split_channels, upright

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_ORIENTATION, _ICC_PROFILE, _XMP = 274, 34675, 700
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_SEPARATE_PLANES = 2
_PREMULTIPLIED = 1
_UNSIGNED = 1
_BYTE = 1
_STRIP_BYTES = 2**20
_CLASSIC_BYTES = 2**32 - 2**26
"""Offsets of 32 bits reach so far, with some room for what is not pixels."""


class _Layout(NamedTuple):
    """Headers that Pillow serializes a directory for."""

    big: bool

    @property
    def header(self) -> bytes:
        return b"II+\0\x08\0\0\0" + bytes(8) if self.big else b"II*\0" + bytes(4)


def read_deep_tiff(path: Path, check_size: Any) -> Picture | None:
    """Read a TIFF of 16 bits a channel; None if it is of another depth, and not cut short.

    Parameters
    ----------
    path
        The file.
    check_size
        Called with width and height before pixels are read.

    Raises
    ------
    ImageError
        If it is damaged, or holds what can't be read.
    """
    from tifffile import TiffFile

    with _explaining(), TiffFile(path) as file:
        page = file.pages.first
        ends = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > file.filehandle.size:  # libtiff, in Pillow, would complain of it by itself
            raise ImageError("cut short: the last of its pixels are missing")
        if page.bitspersample != 16:
            return None
        check_size(page.imagewidth, page.imagelength)
        if page.sampleformat != _UNSIGNED:
            raise ImageError("16-bit numbers with a sign or a fraction have no stated range; save it unsigned")
        if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or page.samplesperpixel > 4:
            raise ImageError("of TIFF files with 16 bits, grey and RGB can be read, with or without alpha")
        if _PREMULTIPLIED in page.extrasamples:
            raise ImageError("its colours are multiplied by its alpha; save it with straight alpha")
        channels = _decoded(page)
        if page.planarconfig == _SEPARATE_PLANES and channels.ndim == 3:
            channels = channels.transpose(1, 2, 0)
        tags = {tag.code: tag.value for tag in page.tags}
        orientation = tags.get(_ORIENTATION, 1)
        pixels, alpha = split_channels(upright(channels, orientation))
        if page.photometric == _WHITE_IS_ZERO:
            pixels = np.iinfo(np.uint16).max - pixels
        dpi = metadata.turned_resolution(metadata.tiff_resolution(tags), orientation)
        xmp = metadata.upright_xmp(tags.get(_XMP))
        exif = None if file.is_bigtiff else _exif(path, orientation)
        return Picture(pixels, alpha, tags.get(_ICC_PROFILE), exif, "TIFF", len(file.pages), xmp, dpi)


@contextmanager
def _explaining() -> Iterator[None]:
    """Say in one line what is wrong with a file, in place of tifffile's log."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        yield
    except ImageError:
        raise
    except IndexError as error:  # of the first page
        raise ImageError("damaged or cut short: there is no image in it") from error
    except (ValueError, struct.error, zlib.error) as error:
        raise ImageError(f"damaged or cut short: {error}") from error
    finally:
        log.disabled = before


def _decoded(page: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        compression = getattr(page.compression, "name", page.compression)
        raise ImageError(
            f"{compression} compression of 16 bits needs the package imagecodecs; install it with: "
            "pip install 'hnas-nni[tiff]'"
        ) from error


def _exif(path: Path, orientation: int) -> bytes | None:
    """Read the Exif data of a file whose pixels Pillow may not know; BigTIFF it does not read so."""
    exif = Image.Exif()
    with path.open("rb") as file:
        exif.load_from_fp(file)
        for tag in metadata.SUB_DIRECTORIES:
            exif.get_ifd(tag)
        return metadata.exif_of_upright(exif, orientation, tiff=True)


def write_tiff(path: Path, rows: PictureRows) -> None:
    """Write a TIFF file strip by strip, with its descriptive tags, Exif and GPS data, XMP and resolution."""
    from tifffile import imwrite

    height, width, channels = rows.shape
    row_bytes = width * channels * rows.dtype.itemsize
    strip = max(1, _STRIP_BYTES // row_bytes)
    big = height * row_bytes > _CLASSIC_BYTES
    exif = Image.Exif()
    if rows.about.exif:
        exif.load(rows.about.exif)
    directories = {tag: exif.get_ifd(tag) for tag in metadata.SUB_DIRECTORIES}
    directories = {tag: values for tag, values in directories.items() if values}
    pointer = "Q" if big else "I"
    imwrite(
        path,
        map(_strip, rows.strips(strip)),
        shape=rows.shape if channels > 1 else rows.shape[:2],
        dtype=rows.dtype,
        bigtiff=big,
        byteorder="<",
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=None if channels in (1, 3) else ["unassalpha"],
        compression="deflate",
        rowsperstrip=strip,
        iccprofile=rows.about.icc_profile,
        resolution=rows.about.dpi,
        resolutionunit="inch" if rows.about.dpi else "none",
        software=False,
        metadata=None,
        extratags=[
            *_descriptions(exif),
            *([(_XMP, _BYTE, len(rows.about.xmp), rows.about.xmp, True)] if rows.about.xmp else []),
            *((tag - 1, pointer, 1, 0, True) for tag in directories),
        ],
    )
    if directories:
        _append(path, directories, _Layout(big))


def _descriptions(exif: Image.Exif) -> Iterator[tuple[int, str, int, str, bool]]:
    for tag in sorted(metadata.DESCRIPTIVE_TAGS & set(exif)):
        text = str(exif[tag]).rstrip("\0").encode("ascii", "replace").decode("ascii")
        yield tag, "s", 0, text, True


def _strip(rows: npt.NDArray[Any]) -> bytes:
    return zlib.compress(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("<")).data)


def _append(path: Path, directories: dict[ExifTags.IFD, dict[int, Any]], layout: _Layout) -> None:
    """Put directories behind all else, and let the places that :func:`write_tiff` kept for them point there.

    tifffile does not write these tags itself, so the places bear the number before theirs, which keeps the order.
    """
    from tifffile import TiffFile

    with TiffFile(path, mode="r+") as file:
        for tag, values in directories.items():
            directory = ImageFileDirectory_v2(layout.header, group=int(tag))
            for name, value in values.items():
                directory[name] = value
            end = file.filehandle.seek(0, 2)
            offset = end + end % 2
            file.filehandle.write(bytes(end % 2) + directory.tobytes(offset))
            place = file.pages.first.tags[tag - 1]
            place.overwrite(offset)
            file.filehandle.seek(place.offset)
            file.filehandle.write(struct.pack("<H", tag))
