"""Headers that state more than there is: opacity that hides nothing, strips longer than the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import ImageError, bicubic_upsample, load_pairs, read_image
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:33, :47]
_COMPRESSIONS = [None, "deflate", "lzw", "packbits", "jpeg"]


def _tiff(path: Path, compression: str | None, *, tiled: bool = False, **options: object) -> Path:
    tile = {"tile": (16, 16)} if tiled else {"rowsperstrip": 8}
    tifffile.imwrite(path, _PHOTO, photometric="rgb", compression=compression, **tile, **options)
    return path


def _state_longer(path: Path, tag: str) -> None:
    with tifffile.TiffFile(path, mode="r+b") as file:
        lengths = file.pages.first.tags[tag]
        lengths.overwrite([length + 30_000 for length in lengths.value], dtype=4)


@pytest.mark.parametrize("format", ["jpeg", "bmp", "ppm"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("deep", [False, True])
def test_an_opaque_picture_goes_into_formats_without_opacity(
    in_folder: None, mode: str, format: str, deep: bool
) -> None:
    opaque = Image.fromarray(_PHOTO).convert(mode)
    if deep:
        pixels = np.asarray(opaque).astype(np.uint16) * 257
        tifffile.imwrite(
            "it.tif", pixels, photometric="rgb" if mode == "RGBA" else "minisblack", extrasamples=["unassalpha"]
        )
    else:
        opaque.save("it.tif")
    assert main(["upscale", "bicubic", "--scale", "2", "it.tif", "--out", "out", "--format", format]) == 0
    (written,) = Path("out").iterdir()
    colours = "RGB" if mode == "RGBA" else "L"
    expected = bicubic_upsample(np.asarray(opaque.convert(colours)), 2).astype(int)
    with Image.open(written) as image:
        assert image.mode == colours
        difference = np.abs(np.asarray(image) - expected)
    assert difference.max() <= deep if format != "jpeg" else difference.mean() < 3


def test_a_picture_with_one_transparent_pixel_does_not(in_folder: None, capsys: pytest.CaptureFixture[str]) -> None:
    image = Image.fromarray(_PHOTO).convert("RGBA")
    image.putpixel((3, 4), (0, 0, 0, 254))
    image.save("it.png")
    assert main(["upscale", "bicubic", "--scale", "2", "it.png", "--out", "out", "--format", "jpeg"]) == 2
    assert "it.png: has transparent parts, which JPEG can't hold; give --format png" in capsys.readouterr().err


@pytest.mark.parametrize("compression", _COMPRESSIONS)
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}], ids=["little", "big", "bigtiff"])
def test_strips_that_are_stated_too_long(
    tmp_path: Path, compression: str | None, tiled: bool, options: dict[str, object]
) -> None:
    sound = _tiff(tmp_path / "sound.tif", compression, tiled=tiled, **options)
    other = _tiff(tmp_path / "other.tif", compression, tiled=tiled, **options)
    _state_longer(other, "TileByteCounts" if tiled else "StripByteCounts")
    before = other.read_bytes()
    np.testing.assert_array_equal(read_picture(other).pixels, read_picture(sound).pixels)
    np.testing.assert_array_equal(read_image(other), read_image(sound))
    assert other.read_bytes() == before


@pytest.mark.parametrize("compression", _COMPRESSIONS)
@pytest.mark.parametrize("missing", [6, 40, 400])  # a checksum or a mark of the end is no loss
def test_what_is_cut_short_is_not_made_up(tmp_path: Path, compression: str | None, missing: int) -> None:
    path = _tiff(tmp_path / "it.tif", compression)
    path.write_bytes(path.read_bytes()[:-missing])
    for read in (read_picture, read_image):
        with pytest.raises(ImageError, match=r"it\.tif: "):
            read(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_headers_that_make_no_sense_are_left_to_the_decoder(tmp_path: Path) -> None:
    path = _tiff(tmp_path / "it.tif", "deflate")
    data = path.read_bytes()
    for head in (b"II*\0", b"MM\0*", b"II+\0", b"II*\0\xff\xff\xff\xff", data[:40]):
        path.write_bytes(head)
        for read in (read_picture, read_image):
            with pytest.raises(ImageError, match=r"it\.tif: "):
                read(path)
