"""Colours and transparency that need care: CMYK with a profile, a transparent colour of 16 bits."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from colour_profiles import cmyk_profile
from picture_writer import write_picture
from PIL import Image, ImageCms

from hnas_nni.cli import main
from hnas_nni.data import load_pairs
from hnas_nni.pictures.libvips import libvips
from hnas_nni.pictures.picture import Picture
from hnas_nni.pictures.pillow import from_pillow
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:280, :47]
"""Of more rows than are converted at once."""


def _in_srgb(image: Image.Image, profile: bytes) -> np.ndarray:
    """What Pillow makes of CMYK by a profile."""
    converted = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return np.asarray(converted).astype(int)


@pytest.mark.parametrize("name", ["it.tif", "it.jpg"])
def test_cmyk_is_converted_by_its_profile(tmp_path: Path, name: str) -> None:
    profile = cmyk_profile()
    Image.fromarray(_PHOTO).convert("CMYK").save(tmp_path / name, icc_profile=profile)
    found = read_picture(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        expected = _in_srgb(image, profile)
        plain = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found.pixels.astype(int) - expected).max() <= 1  # a rounding
    assert np.abs(found.pixels - plain).mean() > 10
    assert found.icc_profile is None  # it does not describe what is written


@pytest.mark.parametrize(
    "profile", [None, b"damaged", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
)
def test_cmyk_without_a_profile_of_its_own_is_taken_for_a_printing_press_s(
    tmp_path: Path, profile: bytes | None
) -> None:
    image = Image.fromarray(_PHOTO).convert("CMYK")
    image.save(tmp_path / "it.tif", icc_profile=profile)
    found = read_picture(tmp_path / "it.tif")
    assert np.abs(found.pixels.astype(int) - _in_srgb(image, libvips().Image.profile_load("cmyk"))).max() <= 1
    assert found.icc_profile is None


@pytest.mark.parametrize("profile", [None, cmyk_profile()])
def test_a_pillow_image_in_cmyk_becomes_what_its_file_becomes(tmp_path: Path, profile: bytes | None) -> None:
    Image.fromarray(_PHOTO).convert("CMYK").save(tmp_path / "it.tif", icc_profile=profile)
    with Image.open(tmp_path / "it.tif") as image:
        np.testing.assert_array_equal(from_pillow(image).pixels, read_picture(tmp_path / "it.tif").pixels)


def _with_clear_colour(path: Path, colour: tuple[int, ...]) -> None:
    """Put a tRNS chunk into a PNG file, behind the header."""
    data = path.read_bytes()
    chunk = b"tRNS" + struct.pack(f">{len(colour)}H", *colour)
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + chunk + data[33:])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_clear_colour_of_16_bits_becomes_alpha(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.full((20, 30, channels), 0x1234, np.uint16)
    pixels[5:9, 3:20] = 0x1235  # another colour, though the upper 8 bits are the same
    pixels[10:15, :] = np.arange(channels) * 700
    write_picture(Picture(pixels), "it.png", "PNG")
    _with_clear_colour(Path("it.png"), (0x1235,) * channels)
    found = read_picture("it.png")
    np.testing.assert_array_equal(found.pixels, pixels)
    clear = np.zeros((20, 30, 1), bool)
    clear[5:9, 3:20] = True
    np.testing.assert_array_equal(found.alpha, np.where(clear, 0, 65535))
    assert main(["upscale", "bicubic", "--scale", "2", "it.png", "--out", "out", "-q"]) == 0
    written = read_picture("out/it.png")
    assert written.pixels.dtype == np.uint16
    assert written.alpha[12, 20] == 0 and written.alpha[30, 50] == 65535
