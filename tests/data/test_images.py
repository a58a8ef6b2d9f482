"""Image files of every kind, written by Pillow from a real photograph."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.data import ImageError, ImagePair, read_image


@pytest.fixture(scope="module")
def photo(photos: dict[str, ImagePair]) -> Image.Image:
    return Image.fromarray(photos["coffee"].hr[100:200, 150:300])


def test_rgb_is_kept_to_the_bit(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert np.array_equal(image, np.asarray(photo))


def test_grey_has_three_equal_channels(tmp_path: Path, photo: Image.Image) -> None:
    grey = photo.convert("L")
    grey.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.stack([np.asarray(grey)] * 3, axis=2))


def test_black_and_white(tmp_path: Path, photo: Image.Image) -> None:
    photo.convert("1").save(tmp_path / "a.png")
    assert set(np.unique(read_image(tmp_path / "a.png"))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_show_white(tmp_path: Path, photo: Image.Image, mode: str) -> None:
    image = photo.convert(mode)
    opaque = np.asarray(photo.convert(mode.removesuffix("A")).convert("RGB"))
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (0, 0, 50, 100))
    alpha.paste(51, (50, 0, 100, 100))
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert (read[:, :50] == 255).all()
    assert np.abs(read[:, 50:100] - (0.2 * opaque[:, 50:100] + 0.8 * 255)).max() <= 1
    assert np.array_equal(read[:, 100:], opaque[:, 100:])


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_palette_with_and_without_transparency(tmp_path: Path, photo: Image.Image, ending: str) -> None:
    palette = photo.quantize(64)
    expected = np.asarray(palette.convert("RGB")).copy()
    palette.save(tmp_path / f"opaque.{ending}")
    assert np.array_equal(read_image(tmp_path / f"opaque.{ending}"), expected)

    hidden = palette.getpixel((10, 10))
    palette.save(tmp_path / f"a.{ending}", transparency=hidden, optimize=False)
    expected[np.asarray(palette) == hidden] = 255
    assert np.array_equal(read_image(tmp_path / f"a.{ending}"), expected)


def test_transparent_colour_of_an_rgb_file(tmp_path: Path, photo: Image.Image) -> None:
    colour = photo.getpixel((10, 10))
    photo.save(tmp_path / "a.png", transparency=colour)
    assert (read_image(tmp_path / "a.png")[10, 10] == 255).all()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path, photo: Image.Image, ending: str) -> None:
    grey = np.asarray(photo.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / f"a.{ending}")
    assert np.array_equal(read_image(tmp_path / f"a.{ending}")[..., 0], grey)

    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(levels).save(tmp_path / f"all.{ending}")
    assert np.abs(read_image(tmp_path / f"all.{ending}")[..., 1] - levels / 257).max() <= 0.5


def test_16_bit_levels_in_32_bit_file(tmp_path: Path, photo: Image.Image) -> None:
    grey = np.asarray(photo.convert("L"))
    Image.fromarray(grey.astype(np.int32) * 257).save(tmp_path / "a.tif")
    assert np.array_equal(read_image(tmp_path / "a.tif")[..., 2], grey)


def test_16_bit_colour_png(tmp_path: Path, photo: Image.Image) -> None:
    # Pillow cannot write one, so the chunks are written by hand.
    colour = np.asarray(photo)
    lines = b"".join(b"\0" + (row.astype(">u2") * 257).astype(">u2").tobytes() for row in colour)
    header = struct.pack(">IIBBBBB", photo.width, photo.height, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(read_image(tmp_path / "a.png"), colour)


def test_cmyk_keeps_its_colours(tmp_path: Path, photo: Image.Image) -> None:
    photo.convert("CMYK").save(tmp_path / "a.tif")
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - np.asarray(photo)).max() <= 2
    photo.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - np.asarray(photo)).mean() < 4


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(tmp_path: Path, photo: Image.Image, orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(np.asarray(photo), turns))


def test_unusable_files_are_named(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "whole.png")
    (tmp_path / "short.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(np.full((20, 20), 0.5, np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((20, 20), 2**20, np.int32)).save(tmp_path / "wide.tif")
    for name in ("short.png", "empty.jpg", "text.png", "float.tif", "wide.tif", "missing.png"):
        with pytest.raises(ImageError) as refused:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_reading_images_loads_neither_torch_nor_the_packages_the_photographs_ship_in() -> None:
    program = (
        "import sys, hnas_nni.data as data; data.load_splits(limit=1); "
        "print(sorted({'torch', 'skimage', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
