"""No picture goes missing: files of every ending and of none are taken, and what is left out is named."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import DataError, ImageError, load_pairs, read_image
from hnas_nni.data.opening import is_image
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:64, :80]
_HEIC = Path(__file__).parent.parent / "support" / "astronaut.heic"
"""The same, written by libheif with x265."""

_EXACT = {
    "a.TIF": "TIFF",
    "b.apng": "PNG",
    "c.dib": "DIB",
    "d.pnm": "PPM",
    "e.tga": "TGA",
    "f": "PNG",
    "g.ppm": "PPM",
    "2024.05.01 beach": "BMP",
}
_GREY = {"h.pgm": "PPM"}
_LOSSY = {"i.jpg": "JPEG", "j.jfif": "JPEG", "k.jpe": "JPEG", "l.JPG": "JPEG", "m.avif": "AVIF", "n.jp2": "JPEG2000"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for name, format in {**_EXACT, **_GREY, **_LOSSY}.items():
        Image.fromarray(_PHOTO).convert("L" if name in _GREY else "RGB").save(folder / name, format)
    shutil.copy(_HEIC, folder / "o.heic")
    (folder / "notes.txt").write_text("P6 is no picture")
    (folder / "table").write_bytes(bytes(range(256)))
    # A TIFF file, whose picture is a camera's thumbnail.
    Image.fromarray(_PHOTO).resize((16, 12)).save(folder / "raw.nef", "TIFF")
    return folder


def test_every_kind_of_picture_is_loaded(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = {pair.name: pair.hr for pair in load_pairs(folder, 2, strict=True)}
    assert len(found) == len(_EXACT) + len(_GREY) + len(_LOSSY) + 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{folder}: left out, as no picture that can be taken: notes.txt, raw.nef, table"
    for name in _EXACT:
        assert np.array_equal(read_image(folder / name), _PHOTO)
    for name in [*_LOSSY, "o.heic"]:
        assert np.abs(read_image(folder / name).astype(int) - _PHOTO).mean() < 8, name


def test_every_kind_of_picture_is_upscaled(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["upscale", "bicubic", "--scale", "2", str(folder), "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(_EXACT) + len(_GREY) + len(_LOSSY) + 1
    assert "left out, as no picture that can be taken: notes.txt, raw.nef, table" in caplog.text
    names = sorted(path.name for path in tmp_path.iterdir())
    expected = ["2024.05.01 beach", "a.TIF", "b.apng", "c.png", "d.pnm", "e.png", "f", "g.ppm", "h.pgm"]
    expected += ["i.jpg", "j.jfif", "k.jpe", "l.JPG", "m.png", "n.png", "o.png"]
    assert names == expected
    for name in names:
        with Image.open(tmp_path / name) as image:
            assert image.size == (160, 128)
    with Image.open(tmp_path / "h.pgm") as image:
        assert image.mode == "L"


def test_heic_without_its_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    from hnas_nni.data import opening

    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "OPEN", {name: opener for name, opener in Image.OPEN.items() if name != "HEIF"})
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    opening._register_heic.cache_clear()
    try:
        for read in (read_image, read_picture):
            with pytest.raises(
                ImageError, match=r"astronaut\.heic: is HEIC; to read it: pip install 'hnas-nni\[heic\]'"
            ):
                read(_HEIC)
    finally:
        opening._register_heic.cache_clear()
    assert is_image(_HEIC)


def test_a_damaged_picture_without_ending_is_named(tmp_path: Path) -> None:
    Image.fromarray(_PHOTO).save(tmp_path / "whole", "PNG")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cut: cannot be read as an image"):
        load_pairs(tmp_path, 2, strict=True)


def test_names_of_many_files_are_cut_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(_PHOTO).save(tmp_path / "a.png")
    for number in range(9):
        (tmp_path / f"{number}.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    load_pairs(tmp_path, 2)
    assert caplog.records[0].getMessage().endswith("0.mat, 1.mat, 2.mat, 3.mat, 4.mat and 4 more")
