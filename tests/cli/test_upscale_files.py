"""``hnas upscale``: which files it writes, and which it leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import bicubic_upsample

_UPSCALE = ["upscale", "bicubic", "--scale", "2"]


pytestmark = pytest.mark.usefixtures("in_folder")


def _picture(name: str, seed: int = 0) -> np.ndarray:
    """Write noise, and return its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name)
    return pixels


def _is_upscaled(name: str, source: np.ndarray) -> bool:
    return np.array_equal(np.asarray(Image.open(name)), bicubic_upsample(source, 2))


@pytest.mark.parametrize("order", [["a.gif", "a.png", "b.png"], ["b.png", "a.png", "a.gif"]])
def test_no_picture_of_the_run_is_ever_replaced(order: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A GIF becomes a PNG, which here is the name of another picture that is still to be read."""
    for number, name in enumerate(("a.gif", "a.png", "b.png")):
        _picture(f"in/{name}", number)
    before = {path: path.read_bytes() for path in Path("in").iterdir()}
    sources = [f"in/{name}" for name in order]
    assert main([*_UPSCALE, *sources, "--out", "in", "--force"]) == 2
    assert {path: path.read_bytes() for path in Path("in").iterdir()} == before
    errors = capsys.readouterr().err.splitlines()
    refused = "is one of the pictures to upscale; give another --out"
    assert sorted(errors) == [
        "hnas upscale: error: 3 of 3 pictures failed",
        f"hnas upscale: error: in/a.gif: in/a.png {refused}",
        f"hnas upscale: error: in/a.png {refused}",
        f"hnas upscale: error: in/b.png {refused}",
    ]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_to_a_picture_of_the_run_are_not_replaced(link: object) -> None:
    pixels = _picture("in/a.png", 1)
    _picture("other/b.png", 2)
    Path("out").mkdir()
    link(Path("in/a.png").absolute(), "out/b.png")
    assert main([*_UPSCALE, "in/a.png", "other/b.png", "--out", "out", "--force"]) == 2
    assert np.array_equal(np.asarray(Image.open("in/a.png")), pixels)
    assert np.array_equal(np.asarray(Image.open("out/b.png")), pixels)
    assert _is_upscaled("out/a.png", pixels)


def test_the_rest_goes_on_where_two_would_become_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    _picture("same.jpg", 1)
    other, third = _picture("same.png", 2), _picture("third.png", 3)
    sources = ["same.png", "same.jpg", "sub/same.png", "third.png"]
    _picture("sub/same.png", 4)
    for more in ([], ["--force"]):  # the second time over the results of the first
        assert main([*_UPSCALE, *sources, "--out", "out", "--format", "png", *more]) == 2
        errors = capsys.readouterr().err.splitlines()
        assert errors == [
            "hnas upscale: error: same.jpg: out/same.png is what same.png has become; give another --out",
            "hnas upscale: error: sub/same.png: out/same.png is what same.png has become; give another --out",
            "hnas upscale: error: 2 of 4 pictures failed",
        ]
        assert sorted(path.name for path in Path("out").iterdir()) == ["same.png", "third.png"]
        assert _is_upscaled("out/same.png", other)
        assert _is_upscaled("out/third.png", third)


def test_one_name_of_several_kinds_stays_apart() -> None:
    for ending in ("png", "bmp", "ppm"):
        _picture(f"same.{ending}")
    assert main([*_UPSCALE, "same.png", "same.bmp", "same.ppm", "--out", "out", "-q"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["same.bmp", "same.png", "same.ppm"]


def test_json_tells_what_was_written_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    _picture("in/a.png")
    frames = [Image.fromarray(np.full((10, 12, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save("in/b.gif", save_all=True, append_images=frames[1:])
    Path("in/c.jpg").write_text("no picture")
    assert main([*_UPSCALE, "in", "--out", "out", "--json"]) == 2
    printed = capsys.readouterr()
    shown = json.loads(printed.out)
    plain = {"rounded_to_8_bits": False, "tiled": False, "format": "png"}
    assert shown["pictures"] == [
        {"source": "in/a.png", "file": "out/a.png", "width": 60, "height": 40, "frames_in_source": 1, **plain},
        {"source": "in/b.gif", "file": "out/b.png", "width": 24, "height": 20, "frames_in_source": 2, **plain},
    ]
    assert shown["failed"] == ["in/c.jpg: not an image that Pillow knows"]
    assert "hnas upscale: error: in/c.jpg: not an image that Pillow knows\n" in printed.err
