"""``hnas upscale``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_profiles import grey_profile
from lively_networks import lively_network
from picture_writer import write_picture
from PIL import Image, ImageCms

from hnas_nni import HNAS_A, HNAS_B, load, save
from hnas_nni.cli import main
from hnas_nni.data import ImageError, bicubic_upsample, load_pairs
from hnas_nni.inference import read_model
from hnas_nni.inference.upscaling import upscale_rows
from hnas_nni.pictures.picture import Picture
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:40, :50]
_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_ORIENTATION = 274


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save(lively_network(replace(HNAS_A, position=2), 2, 2), path)
    return path


pytestmark = pytest.mark.usefixtures("in_folder")


def _network(model: Path, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        result = load(model)(torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255)
    return result[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("ending", ["png", "tif", "TIFF", "bmp", "ppm", "jpg", "webp", "gif"])
def test_keeps_the_format(model: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    Image.fromarray(_PHOTO).save(f"it.{ending}")
    assert main(["upscale", str(model), f"it.{ending}", "--out", "new/folder"]) == 0
    (written,) = Path("new/folder").iterdir()
    assert written.name == ("it.png" if ending == "gif" else f"it.{ending}")
    assert f"it.{ending} -> {written}: 100x80" in capsys.readouterr().out
    with Image.open(f"it.{ending}") as source, Image.open(written) as result:
        expected = _network(model, np.asarray(source.convert("RGB")))
        assert result.format == ("PNG" if ending == "gif" else source.format)
        difference = np.abs(np.asarray(result).astype(int) - expected)
    assert difference.max() == 0 if ending not in ("jpg", "webp") else difference.mean() < 6


def test_16_bits_grey_alpha_profile_and_orientation_survive() -> None:
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 2**16, (20, 30, 3)).astype(np.uint16)
    write_picture(Picture(deep, deep[..., :1], _PROFILE), "deep.png", "PNG")
    write_picture(Picture(deep), "deep.tif", "TIFF")
    Image.fromarray(_PHOTO).convert("LA").save("grey.png")
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    Image.fromarray(_PHOTO).save("turned.jpg", exif=exif, icc_profile=_PROFILE)
    sources = ["deep.png", "deep.tif", "grey.png", "turned.jpg"]
    assert main(["upscale", "bicubic", "--scale", "3", *sources, "--out", "out"]) == 0
    found = [read_picture(Path("out") / name) for name in sources]
    assert [picture.pixels.shape for picture in found] == [(60, 90, 3), (60, 90, 3), (120, 150, 1), (150, 120, 3)]
    assert [picture.pixels.dtype for picture in found] == [np.uint16, np.uint16, np.uint8, np.uint8]
    assert [picture.alpha is not None for picture in found] == [True, False, True, False]
    assert [picture.icc_profile for picture in found] == [_PROFILE, None, None, _PROFILE]
    assert len(np.unique(found[0].pixels)) > 256
    grey = np.asarray(Image.open("grey.png"))
    np.testing.assert_array_equal(found[2].channels, bicubic_upsample(grey, 3))


def test_16_bits_are_rounded_where_the_format_asks_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(Picture(_PHOTO.astype(np.uint16) * 257), "deep.png", "PNG")
    assert main(["upscale", "bicubic", "--scale", "2", "deep.png", "--out", "out", "--format", "bmp"]) == 0
    assert "deep.bmp: 100x80, 16 bits rounded to 8" in capsys.readouterr().out
    assert np.asarray(Image.open("out/deep.bmp")).shape == (80, 100, 3)


def test_folders_keep_their_shape_and_results_are_not_taken_for_pictures() -> None:
    for name in ("in/a.png", "in/sub/a.png", "in/a.jpg", "in/.hidden/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_PHOTO).save(name)
    arguments = ["upscale", "bicubic", "--scale", "2", "in", "--out", "in/x2"]
    assert main(arguments) == 0
    names = ["a.jpg", "a.png", "sub/a.png"]
    assert sorted(str(path.relative_to("in/x2")) for path in Path("in/x2").rglob("*.*g")) == names
    assert main([*arguments, "--force", "--quiet"]) == 0
    assert len([path for path in Path("in").rglob("*") if path.is_file()]) == 4 + 3


def test_a_bad_file_is_reported_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("in/text.jpg").write_text("no picture")
    Image.new("RGB", (9000, 1)).save("in/wide.webp")
    clear = Image.fromarray(_PHOTO).convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save("in/clear.png")
    Image.fromarray(_PHOTO).save("in/whole.png")
    assert main(["upscale", "bicubic", "--scale", "2", "in", "--out", "out"]) == 2
    printed = capsys.readouterr()
    errors = printed.err.splitlines()
    assert len(errors) == 4
    assert errors[0].startswith("hnas upscale: error: in/broken.png: ")
    assert errors[1] == "hnas upscale: error: in/text.jpg: not an image that Pillow knows"
    assert errors[2].startswith("hnas upscale: error: in/wide.webp: would be 18000 pixels long, and WEBP holds 16383")
    assert errors[3] == "hnas upscale: error: 3 of 5 pictures failed"
    assert sorted(path.name for path in Path("out").iterdir()) == ["clear.png", "whole.png"]
    assert main(["upscale", "bicubic", "--scale", "2", "in/clear.png", "--out", "out", "--format", "jpeg"]) == 2
    assert "in/clear.png: has transparent parts, which JPEG can't hold" in capsys.readouterr().err


def test_replaces_only_by_force_and_never_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(_PHOTO).save("it.png")
    Path("out").mkdir()
    Path("out/it.png").write_bytes(b"mine")
    arguments = ["upscale", "bicubic", "--scale", "2", "it.png", "--out"]
    assert main([*arguments, "out"]) == 2
    assert "it.png: out/it.png exists already; give another --out, or --force" in capsys.readouterr().err
    assert Path("out/it.png").read_bytes() == b"mine"
    assert main([*arguments, "out", "--force", "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert Image.open("out/it.png").size == (100, 80)
    assert main([*arguments, ".", "--force"]) == 2
    assert Image.open("it.png").size == (50, 40)


def test_tiles_and_ensemble(model: Path) -> None:
    Image.fromarray(_PHOTO).save("it.png")
    results = []
    for folder, options in (("whole", ["off"]), ("tiles", ["9"]), ("mean", ["off", "--self-ensemble"])):
        assert main(["upscale", str(model), "it.png", "--out", folder, "--tile", *options]) == 0
        results.append(np.asarray(Image.open(f"{folder}/it.png")).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1  # a rounding
    assert (results[0] != results[1]).mean() < 1e-3
    assert (results[0] != results[2]).mean() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["it.png", "it.tif", "deep.png", "deep.tif", "clear.png", "clear.tif", "grey.png"])
def test_large_pictures_are_written_as_they_come(model: Path, name: str) -> None:
    """In bands of tiles, with the pixels that they have at once."""
    deep = np.dstack([_PHOTO, _PHOTO[..., :1]]).astype(np.uint16) * 257
    channels = {"it": deep[..., :3] // 257, "deep": deep[..., :3], "clear": deep, "grey": deep[..., :1]}[name[:-4]]
    pixels = channels.astype(np.uint8) if name.startswith("it") else channels
    alpha = pixels[..., 3:] if pixels.shape[2] == 4 else None
    profile = grey_profile() if pixels.shape[2] == 1 else _PROFILE
    picture = Picture(pixels[..., :3], alpha, profile, None, "", 1, b"<x/>", (300, 300))
    write_picture(picture, name, name[-3:].upper().replace("TIF", "TIFF"))
    arguments = ["upscale", str(model), name, "--out"]
    assert main([*arguments, "whole", "--tile", "off"]) == 0
    assert main([*arguments, "bands", "--tile", "9"]) == 0
    whole, bands = (read_picture(Path(folder, name)) for folder in ("whole", "bands"))
    assert bands.pixels.dtype == pixels.dtype
    assert np.abs(whole.channels.astype(int) - bands.channels).max() <= 1  # a rounding
    assert (bands.icc_profile, bands.xmp) == (profile, b"<x/>")
    assert bands.dpi == pytest.approx((300, 300), abs=0.02)


def test_what_an_encoder_cannot_hold_is_explained(tmp_path: Path) -> None:
    """The sides are checked before; of WebP they are not all that is limited."""
    with pytest.raises(ImageError) as error:
        write_picture(Picture(np.zeros((2, 17_000, 3), np.uint8)), "it.webp", "WEBP")
    assert str(error.value) == "can't be written as WEBP (image too large); give a lower --quality, or --format png"
    assert list(tmp_path.iterdir()) == []


def test_large_results_are_never_in_the_memory_as_a_whole(model: Path) -> None:
    picture = Picture(np.tile(_PHOTO, (20, 1, 1)))
    rows = upscale_rows(picture, read_model(model), tile=40)
    heights = [len(band) for band in rows.bands]
    assert rows.shape == (1600, 100, 3)
    assert (sum(heights), max(heights)) == (1600, 80)


def test_says_where_tiles_can_be_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    save(lively_network(replace(HNAS_B, position=2), 2, 2), "attention.safetensors")
    Image.fromarray(_PHOTO).save("it.png")
    for options, said in (["--tile", "20"], True), (["--tile", "off"], False), ([], False):
        assert main(["upscale", "attention.safetensors", "it.png", "--out", "out", "--force", *options]) == 0
        assert ("in tiles: channel attention averages over each" in capsys.readouterr().out) is said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bicubic", "it.png", "--out", "out"], "bicubic: of which scale?"),
        (["nowhere.safetensors", "it.png", "--out", "out"], "nowhere.safetensors: no such model file"),
        (["it.png", "it.png", "--out", "out"], "it.png: damaged or not a model of hnas-nni"),
        (["bicubic", "--scale", "2", "nowhere.png", "--out", "out"], "nowhere.png: no such file or folder"),
        (["bicubic", "--scale", "2", "empty", "--out", "out"], "empty: no pictures in this folder"),
        (["bicubic", "--scale", "2", "it.png", "--out", "it.png"], "it.png: is a file; give the name of a folder"),
        (["bicubic", "--scale", "2", "it.png", "--out", "out", "--quality", "0"], "--quality: 0 is not valid"),
        (["bicubic", "--scale", "2", "it.png", "--out", "out", "--max-megapixels", "0"], "--max-megapixels: 0 is not"),
        (["bicubic", "--scale", "2", "it.png", "--out", "out", "--max-megapixels", "0.001"], "raise --max-megapixels"),
        (["bicubic", "--scale", "2", "it.png"], "the following arguments are required: --out"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("empty").mkdir()
    Image.fromarray(_PHOTO).save("it.png")
    before = sorted(tmp_path.rglob("*"))
    assert main(["upscale", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hnas upscale: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
