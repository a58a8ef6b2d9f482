"""Pictures: 16 bits, transparency, profiles and orientations survive, against Pillow and tifffile."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from colour_profiles import grey_profile
from picture_writer import write_picture
from PIL import Image, ImageCms, ImageOps

from hnas_nni import save, upscale
from hnas_nni.cli import main
from hnas_nni.data import ImageError, bicubic_upsample, load_pairs
from hnas_nni.inference import Bicubic
from hnas_nni.network.network import HNASNetwork
from hnas_nni.pictures.picture import Picture, in_8_bits
from hnas_nni.pictures.pillow import from_pillow, to_pillow
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:33, :47]
_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_PROFILES = {1: grey_profile(), 2: grey_profile(), 3: _PROFILE, 4: _PROFILE}
"""By the number of channels: a profile for RGB does not describe grey, and is not written into a grey file."""

_ORIENTATION = 274


def _deep(channels: int) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.integers(0, 2**16, (33, 47, channels)).astype(np.uint16)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif[271] = "maker"
    return exif


def _smooth(channels: int, dtype: type) -> np.ndarray:
    """A photograph, so that each of PNG's filters is of use somewhere, with noise in the lower bits."""
    levels = np.dstack([_PHOTO, _PHOTO[::-1]])[..., :channels].astype(np.uint16) * 257
    levels[5:9] = 65535
    return levels ^ _deep(channels) % 16 if dtype == np.uint16 else (levels >> 8).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("band", [1, 7, None])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_as_pillow_reads_it(tmp_path: Path, channels: int, band: int | None, dtype: type) -> None:
    pixels, path = _smooth(channels, dtype), tmp_path / "it.png"
    write_picture(Picture(pixels, None, _PROFILES[channels], _exif(1).tobytes()), path, "PNG", band=band)
    with Image.open(path) as image:
        # Pillow checks the checksums, and gives the upper 8 bits of 16-bit colours.
        if channels == 1:
            shown, expected = np.asarray(image), pixels[..., 0]
        else:
            used = [0, 3] if channels == 2 else list(range(channels))
            shown, expected = np.asarray(image.convert("RGBA"))[..., used], pixels >> (8 * (pixels.itemsize - 1))
        np.testing.assert_array_equal(shown, expected)
        assert image.info["icc_profile"] == _PROFILES[channels]
        assert image.getexif()[271] == "maker"


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("band", [5, None])
def test_pictures_are_read_as_written(
    tmp_path: Path, format: str, channels: int, dtype: type, band: int | None
) -> None:
    pixels = _smooth(channels, dtype)
    alpha = pixels[..., -1:] if channels in (2, 4) else None
    picture = Picture(pixels[..., : 1 if channels < 3 else 3], alpha, _PROFILES[channels])
    write_picture(picture, tmp_path / "it", format, band=band)
    found = read_picture(tmp_path / "it")
    np.testing.assert_array_equal(found.channels, pixels)
    assert (found.pixels.dtype, found.format, found.icc_profile) == (dtype, format, _PROFILES[channels])
    if format == "TIFF":
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "it").reshape(pixels.shape), pixels)


def test_png_files_are_about_as_small_as_pillows(tmp_path: Path) -> None:
    photo = load_pairs("embedded:photos", 2, limit=1)[0].hr
    write_picture(Picture(photo), tmp_path / "ours.png", "PNG")
    Image.fromarray(photo).save(tmp_path / "pillow.png")
    assert (tmp_path / "ours.png").stat().st_size < 1.15 * (tmp_path / "pillow.png").stat().st_size


def test_other_tiff_files_of_16_bits(tmp_path: Path) -> None:
    pixels, path = _deep(3), tmp_path / "it.tif"
    tifffile.imwrite(path, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_picture(path).pixels, pixels)
    tifffile.imwrite(path, pixels[..., 0], photometric="miniswhite", byteorder=">")
    np.testing.assert_array_equal(read_picture(path).pixels[..., 0], 65535 - pixels[..., 0])
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(_ORIENTATION, "H", 1, 6, True)])
    np.testing.assert_array_equal(read_picture(path).pixels, np.rot90(pixels, -1))
    for bad, message in (
        (pixels.astype(np.int16), "with a sign or a fraction"),
        (pixels.astype(np.float32), "32-bit numbers have no stated range"),
    ):
        tifffile.imwrite(path, bad, photometric="rgb")
        with pytest.raises(ImageError, match=f"it.tif: .*({message})"):
            read_picture(path)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits"])
@pytest.mark.parametrize("channels", [1, 3])
def test_compressed_tiff_files_of_16_bits(tmp_path: Path, compression: str, channels: int) -> None:
    pixels, path = _deep(channels), tmp_path / "it.tif"
    photometric = "rgb" if channels == 3 else "minisblack"
    predictor = compression != "packbits"
    tifffile.imwrite(path, pixels.squeeze(), photometric=photometric, compression=compression, predictor=predictor)
    np.testing.assert_array_equal(read_picture(path).pixels, pixels)


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_what_libvips_does_not_decompress_is_said(tmp_path: Path, compression: str) -> None:
    tifffile.imwrite(tmp_path / "it.tif", _deep(3), photometric="rgb", compression=compression)
    with pytest.raises(ImageError, match=f"it.tif: {compression.upper()} compression .*; save it in another format"):
        read_picture(tmp_path / "it.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_that_are_multiplied_by_alpha_become_straight(tmp_path: Path, dtype: type) -> None:
    peak = np.iinfo(dtype).max
    alpha = np.linspace(0.5, 1, 33 * 47).reshape(33, 47, 1)
    colours = (_PHOTO / 255 * alpha * peak).round()
    pixels = np.dstack([colours, alpha * peak]).astype(dtype)
    tifffile.imwrite(tmp_path / "it.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    found = read_picture(tmp_path / "it.tif")
    np.testing.assert_array_equal(found.alpha, pixels[..., 3:])
    assert np.abs(found.pixels / peak - _PHOTO / 255).max() < (2 / peak + 1e-9 if dtype == np.uint16 else 3 / 255)


def test_channels_that_have_no_meaning_are_refused(tmp_path: Path) -> None:
    for channels in (3, 5):
        pixels = np.zeros((9, 9, channels), np.uint16)
        tifffile.imwrite(tmp_path / "it.tif", pixels, photometric="minisblack", planarconfig="contig")
        with pytest.raises(ImageError, match=f"it.tif: has {channels} channels; grey and RGB can be read"):
            read_picture(tmp_path / "it.tif")


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_damaged_tiff_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], compression: str, dtype: type
) -> None:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("whole.tif", _smooth(3, dtype), photometric="rgb", compression=compression)
    data = Path("whole.tif").read_bytes()
    for length in (5, 8, 9, 12, 60, 100, 150, 200, len(data) // 2):
        Path("cut.tif").write_bytes(data[:length])
        assert main(["upscale", "bicubic", "--scale", "2", "cut.tif", "--out", "out"]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert re.match(r"hnas upscale: error: cut.tif: (damaged or cut short: |cut short: |not an image).*\w\w", line)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_are_what_pillow_makes_of_them(mode: str) -> None:
    colour = Image.fromarray(_PHOTO)
    if mode == "I;16":
        image = Image.fromarray(_deep(1)[..., 0])
        assert image.mode == mode
    else:
        image = colour.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else colour.convert(mode)
    picture = from_pillow(image)
    expected = image.convert({"1": "L", "P": "RGB"}.get(mode, mode)) if mode != "I;16" else image
    assert to_pillow(picture).mode == expected.mode
    np.testing.assert_array_equal(np.asarray(to_pillow(picture)), np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(_PHOTO).convert(mode)
    transparent = image.getpixel((3, 4))
    image.save(tmp_path / "it.png", transparency=transparent)
    found = read_picture(tmp_path / "it.png")
    assert found.alpha is not None
    np.testing.assert_array_equal(
        found.alpha[..., 0] == 0, (np.asarray(image) == transparent).reshape(33, 47, -1).all(2)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_orientations_as_pillow_applies_them(tmp_path: Path, orientation: int, deep: bool) -> None:
    path = tmp_path / "it.png"
    if deep:
        deep_photo = Picture(_PHOTO.astype(np.uint16) * 257, exif=_exif(orientation).tobytes())
        write_picture(deep_photo, path, "PNG")
    else:
        Image.fromarray(_PHOTO).save(path, exif=_exif(orientation))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    found = read_picture(path)
    np.testing.assert_array_equal(in_8_bits(found.pixels), expected)
    exif = Image.Exif()
    exif.load(found.exif)
    assert exif[271] == "maker"
    assert _ORIENTATION not in exif


def test_a_small_file_with_a_huge_picture(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    with pytest.raises(ImageError, match=r"bomb.png: .*(50000x50000|bomb)"):
        read_picture(path)
    Image.fromarray(_PHOTO).save(tmp_path / "small.png")
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"is 47x33, 0 megapixels, more than 0.001; .* raise --max-megapixels"):
        read_picture(tmp_path / "small.png", 0.001)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert read_picture(tmp_path / "small.png", 0.002).pixels.shape == (33, 47, 3)


def test_a_larger_limit_than_pillows_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: object) -> None:
    Image.fromarray(_PHOTO).save(tmp_path / "it.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_picture(tmp_path / "it.png").pixels.shape == (33, 47, 3)
    assert not list(recwarn)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_upscale_a_pillow_image(mode: str) -> None:
    image = Image.fromarray(_deep(1)[..., 0]) if mode == "I;16" else Image.fromarray(_PHOTO).convert(mode)
    image.info["icc_profile"] = _PROFILE
    if image.mode.endswith("A"):
        image.putalpha(Image.fromarray(_PHOTO[..., 0]))
    result = upscale(image, "bicubic", scale=2)
    assert (result.mode, result.size, result.info["icc_profile"]) == (mode, (94, 66), _PROFILE)
    if mode != "I;16":
        # Colours beneath opacity: tests/inference/test_transparency.py.
        exact = -1 if mode.endswith("A") else slice(None)
        expected = bicubic_upsample(np.asarray(image), 2)
        np.testing.assert_array_equal(np.asarray(result)[..., exact], expected[..., exact])


def test_upscale_arrays_with_a_network_and_its_file(local_network: HNASNetwork, tmp_path: Path) -> None:
    save(local_network, tmp_path / "model.safetensors")
    with torch.inference_mode():
        lr = torch.from_numpy(_PHOTO.transpose(2, 0, 1).copy())[None] / 255
        expected = local_network(lr)[0].clamp(0, 1).permute(1, 2, 0).numpy()
    floating = upscale(_PHOTO / 255, local_network)
    assert floating.dtype == np.float64
    np.testing.assert_allclose(floating, expected, atol=1e-6)
    exact = np.rint(expected * 255).astype(np.uint8)
    np.testing.assert_array_equal(upscale(_PHOTO, tmp_path / "model.safetensors"), exact)
    assert upscale(_PHOTO[..., 0], local_network).shape == (66, 94)
    opaque = np.dstack([_PHOTO, np.full((33, 47), 255, np.uint8)])
    np.testing.assert_array_equal(upscale(opaque, local_network)[..., :3], exact)
    assert (upscale(opaque, local_network)[..., 3] == 255).all()
    assert upscale(_deep(2), local_network, tile=16).dtype == np.uint16
    ensemble = upscale(_PHOTO / 255, local_network, self_ensemble=True)
    assert np.abs(ensemble - floating).max() > 1e-4


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        ("photo.png", {}, "expected a Pillow image or an array, got str"),
        (np.zeros((4, 4, 5), np.uint8), {}, r"shape \(4, 4, 5\) is not valid"),
        (np.zeros((0, 4, 3), np.uint8), {}, "is not valid; give"),
        (np.zeros((4, 4), np.int64), {}, "type int64 is not valid"),
        (Image.new("F", (4, 4)), {}, "32-bit numbers have no stated range"),
        (np.zeros((4, 4), np.uint8), {"scale": 3}, "upscales by 2, not by 3"),
        (np.zeros((4, 4), np.uint8), {"tile": 0}, "tile: 0 is not valid"),
    ],
)
def test_what_cannot_be_upscaled(image: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        upscale(image, Bicubic(2), **options)
