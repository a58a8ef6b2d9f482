"""Telling image files from others, and opening them by Pillow: by their content, whatever they are called."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, cast

from PIL import Image, UnidentifiedImageError

from hnas_nni.data.tiff import within_its_end

_PICTURES = """apng avif bmp dib gif heic heif j2k jfif jp2 jpe jpeg jpg jpx pbm pcx pgm png pnm ppm psd qoi sgi tga tif
tiff webp"""
IMAGE_SUFFIXES = frozenset(f".{ending}" for ending in _PICTURES.split())
"""Endings, in lower case, of files that count as images when a folder is listed, readable or not."""

_CAMERAS = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mef mos nef nrw orf pef raf rw2 sr2 srf srw x3f"
_CAMERA_SUFFIXES = frozenset(f".{ending}" for ending in _CAMERAS.split())
"""Raw files of cameras: Pillow would take the thumbnail in them for the picture."""

_NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow names, and can't decode by itself."""

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
"""What stands behind ``ftyp`` in a file of HEVC pictures (ISO/IEC 23008-12, annex B)."""

_HEIC_PACKAGES = ("pi_heif", "pillow_heif")


class ImageError(ValueError):
    """A file that cannot be read as an image; the message names it."""


def open_image(path: Path) -> Image.Image:
    """Open an image as :func:`PIL.Image.open` does; HEIC too, and TIFF files whose header states too much.

    Raises
    ------
    ImageError
        If it is HEIC, and no package that decodes it is installed.
    PIL.UnidentifiedImageError
        If it is no image that Pillow knows.
    """
    try:
        return Image.open(cast("IO[bytes]", within_its_end(path)) or path)
    except UnidentifiedImageError:
        if not is_heic(path):
            raise
    _register_heic()
    return Image.open(path)


def is_image(path: Path) -> bool:
    """Whether a file is an image by its ending, or else by its content."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or suffix in _CAMERA_SUFFIXES or not path.is_file():
        return suffix in IMAGE_SUFFIXES and path.is_file()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.open(path, formats=_told_by_content()).close()
        except Image.DecompressionBombError:
            return True
        except Exception:  # as for hnas_nni.data.read_image
            return is_heic(path)
    return True


@cache
def _told_by_content() -> tuple[str, ...]:
    """The formats of which Pillow knows the first bytes."""
    Image.init()
    return tuple(name for name, (_, accept) in Image.OPEN.items() if accept and name not in _NO_PICTURES)


def is_heic(path: Path) -> bool:
    """Whether a file is HEIC; not if it can't be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:] in _HEIC_BRANDS


@cache
def _register_heic() -> None:
    for name in _HEIC_PACKAGES:
        try:
            import_module(name).register_heif_opener()
            return
        except ModuleNotFoundError:
            continue
    raise ImageError("is HEIC; to read it: pip install 'hnas-nni[heic]', or save it as JPEG or PNG")
