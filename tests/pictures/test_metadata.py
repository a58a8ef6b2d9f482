"""What files say of their pictures survives, and stays true: Exif data, GPS, XMP, resolution, in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import tifffile
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from hnas_nni.cli import main
from hnas_nni.data import ImageError, load_pairs
from hnas_nni.pictures.picture import Picture, PictureRows
from hnas_nni.pictures.pillow import from_pillow
from hnas_nni.pictures.reading import read_picture
from hnas_nni.pictures.writing import write_rows

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:33, :47]
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
    if path.endswith("webp"):  # which has no place for it but Exif data
        across, down, unit = ExifTags.Base.XResolution, ExifTags.Base.YResolution, ExifTags.Base.ResolutionUnit
        options["exif"][across], options["exif"][down], options["exif"][unit] = *_DPI, 2
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


def _checked(path: Path, size: tuple[int, int], *, dpi: tuple[int, int] = _DPI) -> None:
    """Look at a file with Pillow: upright, and all as it was but for the sides in pixels, and TIFF without Exif."""
    with Image.open(path) as image:
        assert image.size == size
        image.load()
        # Pillow takes the orientation out of what it has turned itself.
        assert _xmp(image) in (_XMP % 1, (_XMP % 1).replace(b'tiff:Orientation="1"', b""))
        exif = image.getexif()
        assert exif.get(_ORIENTATION, 1) == 1
        # In JPEG and WebP it stands in Exif data, of which Pillow shows one side.
        stated = [exif[282], exif[283]] if image.format in ("JPEG", "WEBP") else image.info["dpi"]
        assert tuple(map(float, stated)) == pytest.approx(dpi, abs=0.02)
        if image.format == "TIFF":
            return
        found = {tag: exif.get(tag) for tag in (_MAKE, _COPYRIGHT)}
        assert found == {_MAKE: "maker", _COPYRIGHT: "(c) somebody"}
        inside = exif.get_ifd(ExifTags.IFD.Exif)
        assert inside[_TAKEN] == "2020:01:02 03:04:05"
        assert float(inside[_FOCAL_LENGTH]) == 35.5
        assert (inside[_WIDTH], inside[_HEIGHT]) == size
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert (gps[1], tuple(map(float, gps[2]))) == ("N", _LATITUDE[2])


def _xmp(image: Image.Image) -> bytes:
    """Return a picture's XMP, which libvips puts into PNG files compressed."""
    if image.format == "PNG" and "xmp" not in image.info:
        return image.info["XML:com.adobe.xmp"].encode("latin-1")
    return image.info["xmp"].rstrip(b"\0")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_formats_keep_all_they_can_hold(ending: str, orientation: int) -> None:
    name = f"it.{ending}"
    _save(name, orientation)
    assert main(["upscale", "bicubic", "--scale", "2", name, "--out", "out", "-q"]) == 0
    turned = orientation == 6
    size = (66, 94) if turned else (94, 66)
    _checked(Path("out", name), size, dpi=_DPI[::-1] if turned else _DPI)


@pytest.mark.parametrize("source", ["jpg", "png", "tif"])
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp"])
def test_from_one_format_into_another(source: str, format: str) -> None:
    _save(f"it.{source}", 3)
    assert main(["upscale", "bicubic", "--scale", "2", f"it.{source}", "--out", "out", "--format", format, "-q"]) == 0
    (path,) = Path("out").iterdir()
    _checked(path, (94, 66))


@pytest.mark.slow
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
        after.load()
        assert _xmp(after) == _xmp(before)
        if format == "tiff":
            return
        told, tells = before.getexif(), after.getexif()
        kept = {tag for tag in told if tag in (270, 271, 272, 305, 306, 315, 33432)}
        assert {tag: tells[tag] for tag in kept} == {tag: told[tag] for tag in kept}
        inside = dict(told.get_ifd(ExifTags.IFD.Exif))
        if _WIDTH in inside:
            assert (inside[_WIDTH], inside[_HEIGHT]) == before.size
            inside |= {_WIDTH: after.width, _HEIGHT: after.height}
        assert inside.items() <= dict(tells.get_ifd(ExifTags.IFD.Exif)).items()
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
    if format == "tiff":
        assert found.exif is None
    else:
        exif = Image.Exif()
        exif.load(found.exif)
        assert (exif[_MAKE], exif[_COPYRIGHT], exif.get(_ORIENTATION, 1)) == ("maker", "(c) somebody", 1)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_sides_in_pixels_that_cameras_put_beside_are_no_longer_stated(ending: str) -> None:
    exif = _exif(1)
    exif[ExifTags.Base.ImageWidth], exif[ExifTags.Base.ImageLength] = 47, 33
    Image.fromarray(_PHOTO).save(f"it.{ending}", exif=exif)
    assert main(["upscale", "bicubic", "--scale", "2", f"it.{ending}", "--out", "out", "-q"]) == 0
    with Image.open(f"out/it.{ending}") as image:
        found = image.getexif()
        assert (found.get(ExifTags.Base.ImageWidth), found.get(ExifTags.Base.ImageLength)) == (None, None)
        assert found.get_ifd(ExifTags.IFD.Exif)[_WIDTH] == 94


def test_big_tiff_files() -> None:
    """Those of more than 4 GB have offsets of 64 bits."""
    tifffile.imwrite("it.tif", _PHOTO, photometric="rgb", bigtiff=True)
    np.testing.assert_array_equal(read_picture("it.tif").pixels, _PHOTO)
    rows, headers = np.zeros((64, 40_000, 3), np.uint8), []

    def bands() -> Iterator[np.ndarray]:
        """Rows of a picture of 4.8 GB, until the file's header is there."""
        for _ in range(40_000 // 64):
            yield rows
            (path,) = Path.cwd().glob(".*.part")
            if header := path.read_bytes()[:4]:
                headers.append(header)
                return

    with pytest.raises(ImageError, match="can't be written as TIFF"):  # as rows are missing
        write_rows(PictureRows((40_000, 40_000, 3), rows.dtype, bands(), Picture(rows)), "big.tif", "TIFF")
    assert headers == [b"II+\0"]
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["it.tif"]


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
