"""What files say of their pictures survives, and stays true: Exif data, GPS, XMP, resolution, in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import tifffile
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from hnas_nni.cli import main
from hnas_nni.data import load_pairs
from hnas_nni.pictures.picture_files import read_picture
from hnas_nni.pictures.pictures import from_pillow

_PHOTO = load_pairs("photos", 2, limit=1)[0].lr[:33, :47]
_MAKE, _ORIENTATION, _COPYRIGHT = 271, 274, 33432
_FOCAL_LENGTH, _WIDTH, _HEIGHT, _TAKEN = 37386, 40962, 40963, 36867
_LATITUDE = {1: "N", 2: (47.0, 22.0, 12.5)}
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'tiff:Orientation="%d" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
_DPI = (300, 240)


pytestmark = pytest.mark.usefixtures("in_folder")


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_MAKE], exif[_ORIENTATION], exif[_COPYRIGHT] = "maker", orientation, "(c) somebody"
    exif[ExifTags.IFD.Exif] = {_TAKEN: "2020:01:02 03:04:05", _WIDTH: 47, _HEIGHT: 33, _FOCAL_LENGTH: 35.5}
    exif[ExifTags.IFD.GPSInfo] = _LATITUDE
    return exif


def _save(path: str, orientation: int = 1) -> None:
    """Write a photograph with all that the format can hold, by Pillow."""
    options: dict[str, Any] = {"exif": _exif(orientation), "dpi": _DPI}
    if path.endswith("png"):
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", (_XMP % orientation).decode())
    elif path.endswith("tif"):
        options["exif"][700] = _XMP % orientation
        options["exif"] = options["exif"].tobytes()
    else:
        options["xmp"] = _XMP % orientation
    Image.fromarray(_PHOTO).save(path, **options)


def _deep(path: str, orientation: int = 1) -> None:
    """The same with 16 bits a channel, which Pillow can't write; tifffile writes no Exif directories."""
    deep = _PHOTO.astype(np.uint16) * 257
    tifffile.imwrite(
        path,
        deep,
        photometric="rgb",
        resolution=_DPI,
        resolutionunit="inch",
        software=False,
        metadata=None,
        extratags=[
            (_MAKE, "s", 0, "maker", True),
            (_COPYRIGHT, "s", 0, "(c) somebody", True),
            (_ORIENTATION, "H", 1, orientation, True),
            (700, 1, len(_XMP % orientation), _XMP % orientation, True),
        ],
    )


def _checked(path: Path, size: tuple[int, int], *, dpi: tuple[int, int] | None = _DPI, xmp: bool = True) -> None:
    """Look at a file with Pillow: upright, and all as it was but for the sides in pixels."""
    with Image.open(path) as image:
        assert image.size == size
        image.load()
        exif = image.getexif()
        found = {tag: exif.get(tag) for tag in (_MAKE, _COPYRIGHT)}
        assert found == {_MAKE: "maker", _COPYRIGHT: "(c) somebody"}
        assert exif.get(_ORIENTATION, 1) == 1
        inside = exif.get_ifd(ExifTags.IFD.Exif)
        assert inside[_TAKEN] == "2020:01:02 03:04:05"
        assert float(inside[_FOCAL_LENGTH]) == 35.5
        assert (inside[_WIDTH], inside[_HEIGHT]) == size
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert (gps[1], tuple(map(float, gps[2]))) == ("N", _LATITUDE[2])
        if dpi is not None:
            assert tuple(map(float, image.info["dpi"])) == pytest.approx(dpi, abs=0.02)
        if xmp:
            described = image.info["xmp"].rstrip(b"\0")
            # Pillow takes the orientation out of what it has turned itself.
            assert described in (_XMP % 1, (_XMP % 1).replace(b'tiff:Orientation="1"', b""))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_formats_keep_all_they_can_hold(ending: str, orientation: int) -> None:
    name = f"it.{ending}"
    _save(name, orientation)
    assert main(["upscale", "bicubic", "--scale", "2", name, "--out", "out", "-q"]) == 0
    turned = orientation == 6
    size = (66, 94) if turned else (94, 66)
    # WebP has no place for a resolution but in Exif data.
    dpi = None if ending == "webp" else (_DPI[::-1] if turned else _DPI)
    _checked(Path("out", name), size, dpi=dpi)


@pytest.mark.parametrize("source", ["jpg", "png", "tif"])
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp"])
def test_from_one_format_into_another(source: str, format: str) -> None:
    _save(f"it.{source}", 3)
    assert main(["upscale", "bicubic", "--scale", "2", f"it.{source}", "--out", "out", "--format", format, "-q"]) == 0
    (path,) = Path("out").iterdir()
    _checked(path, (94, 66), dpi=None if format == "webp" else _DPI)


@pytest.mark.parametrize("name", ["hubble_deep_field.jpg", "chelsea.png"])
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_photographs_as_their_makers_left_them(name: str, format: str) -> None:
    """Files that an image editor wrote, with thumbnails, layout tags and long XMP."""
    source = Path(skimage.data_dir, name)
    assert main(["upscale", "bicubic", "--scale", "2", str(source), "--out", "out", "--format", format, "-q"]) == 0
    (path,) = Path("out").iterdir()
    with Image.open(source) as before, Image.open(path) as after:
        assert after.size == (2 * before.width, 2 * before.height)
        assert tuple(map(float, after.info["dpi"])) == pytest.approx(before.info["dpi"], abs=0.02)
        assert after.info["xmp"].rstrip(b"\0") == before.info["xmp"]
        told, tells = before.getexif(), after.getexif()
        kept = {tag for tag in told if tag in (270, 271, 272, 305, 306, 315, 33432)}
        assert {tag: tells[tag] for tag in kept} == {tag: told[tag] for tag in kept}
        inside = dict(told.get_ifd(ExifTags.IFD.Exif))
        if _WIDTH in inside:
            assert (inside[_WIDTH], inside[_HEIGHT]) == before.size
            inside |= {_WIDTH: after.width, _HEIGHT: after.height}
        assert dict(tells.get_ifd(ExifTags.IFD.Exif)) == inside
        assert tells.get(_ORIENTATION, 1) == 1


@pytest.mark.parametrize("format", ["png", "tiff", "jpeg"])
def test_16_bits(format: str) -> None:
    _deep("deep.tif", 8)
    assert main(["upscale", "bicubic", "--scale", "3", "deep.tif", "--out", "out", "--format", format, "-q"]) == 0
    (path,) = Path("out").iterdir()
    assert read_picture(path).pixels.shape == (141, 99, 3)
    assert read_picture(path).pixels.dtype == (np.uint8 if format == "jpeg" else np.uint16)
    found = read_picture(path)
    assert found.dpi == pytest.approx(_DPI[::-1], abs=0.02)
    assert b'tiff:Orientation="1"' in found.xmp and b'xmp:Rating="4"' in found.xmp
    exif = Image.Exif()
    exif.load(found.exif)
    assert (exif[_MAKE], exif[_COPYRIGHT], exif.get(_ORIENTATION, 1)) == ("maker", "(c) somebody", 1)


def test_16_bit_tiff_files_keep_exif_and_gps_directories() -> None:
    _save("it.png", 1)
    with Image.open("it.png") as image:
        exif, xmp = image.getexif().tobytes(), image.info["xmp"]
    from hnas_nni.pictures.picture_files import write_picture
    from hnas_nni.pictures.pictures import Picture

    deep = Picture(_PHOTO.astype(np.uint16) * 257, None, None, exif, "", 1, xmp, (72.5, 72.5))
    write_picture(deep, "deep.tif", "TIFF")
    assert main(["upscale", "bicubic", "--scale", "2", "deep.tif", "--out", "out", "-q"]) == 0
    with tifffile.TiffFile("out/deep.tif") as file:  # the truth of another library
        tags = file.pages.first.tags
        assert tags[34665].value["DateTimeOriginal"] == "2020:01:02 03:04:05"
        assert (tags[34665].value["PixelXDimension"], tags[34665].value["PixelYDimension"]) == (94, 66)
        assert tags[34853].value["GPSLatitudeRef"] == "N"
        assert tags[271].value == "maker" and b"Rating" in tags[700].value
        numerator, denominator = tags[282].value
        assert numerator / denominator == pytest.approx(72.5)
    np.testing.assert_array_equal(tifffile.imread("out/deep.tif").shape, (66, 94, 3))


def test_big_tiff_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of more than 4 GB have offsets of 64 bits; here from the first byte on."""
    monkeypatch.setattr("hnas_nni.pictures.tiff._CLASSIC_BYTES", 0)
    _save("it.jpg")
    assert main(["upscale", "bicubic", "--scale", "2", "it.jpg", "--out", "out", "--format", "tiff", "-q"]) == 0
    with tifffile.TiffFile("out/it.tif") as file:
        assert file.is_bigtiff
        tags = file.pages.first.tags
        assert tags[34665].value["DateTimeOriginal"] == "2020:01:02 03:04:05"
        assert tags[34853].value["GPSLatitudeRef"] == "N"
    assert read_picture("out/it.tif").pixels.shape == (66, 94, 3)


def test_bitmaps_keep_the_resolution() -> None:
    Image.fromarray(_PHOTO).save("it.bmp", dpi=_DPI)
    assert main(["upscale", "bicubic", "--scale", "2", "it.bmp", "--out", "out", "-q"]) == 0
    assert Image.open("out/it.bmp").info["dpi"] == pytest.approx(_DPI, abs=0.02)


def test_xmp_that_is_too_long_for_jpeg_is_left_out() -> None:
    xmp = _XMP % 1 + b" " * 70_000
    Image.fromarray(_PHOTO).save("it.webp", xmp=xmp)
    assert main(["upscale", "bicubic", "--scale", "2", "it.webp", "--out", "out", "--format", "jpeg", "-q"]) == 0
    assert main(["upscale", "bicubic", "--scale", "2", "it.webp", "--out", "out", "--format", "png", "-q"]) == 0
    assert Image.open("out/it.jpg").size == (94, 66)
    assert read_picture("out/it.png").xmp == xmp


def test_a_pillow_image_stays_as_it_is() -> None:
    """Its Exif data too: upscaling it twice gives the same twice."""
    _save("it.jpg", 6)
    with Image.open("it.jpg") as image:
        first, second = from_pillow(image), from_pillow(image)
        assert image.getexif()[_ORIENTATION] == 6
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.exif == second.exif


def test_a_file_that_says_nothing_gets_nothing() -> None:
    Image.fromarray(_PHOTO).save("it.tif")
    assert main(["upscale", "bicubic", "--scale", "2", "it.tif", "--out", "out", "-q"]) == 0
    found = read_picture("out/it.tif")
    assert (found.exif, found.xmp, found.icc_profile) == (None, None, None)
