"""Making LR/HR pairs of a folder: exact, restartable, and never over files of others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.data import DataError, ImagePair, load_pairs, read_image
from hnas_nni.data.inspection import inspect_images
from hnas_nni.data.prepare import Prepared
from hnas_nni.data.prepare import prepare as _prepare

Source = Callable[[Path], tuple[Path, str]]
"""Makes a source and names a folder for its pairs, given the originals."""


def prepare(
    source: Path, folder: Path, scales: tuple[int, ...] = (2,), workers: int = 1, force: bool = False
) -> Prepared:
    return _prepare(source, folder, scales, workers=workers, force=force, progress=False)


@pytest.fixture
def originals(tmp_path: Path, photos: dict[str, ImagePair]) -> Path:
    """Parts of three photographs, of sizes that are no multiples of 2, 3 or 4, one in a subfolder."""
    folder = tmp_path / "originals"
    (folder / "animals").mkdir(parents=True)
    Image.fromarray(photos["astronaut"].hr[:101, :67]).save(folder / "astronaut.png")
    Image.fromarray(photos["coffee"].hr[:59, :83]).save(folder / "coffee.png")
    Image.fromarray(photos["chelsea"].hr[:77, :55]).save(folder / "animals" / "chelsea.png")
    return folder


def _contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_pairs_are_those_that_loading_the_originals_makes(originals: Path, tmp_path: Path) -> None:
    """LR made from HR in memory is checked against published images in the tests of resizing."""
    done = prepare(originals, tmp_path / "pairs", (2, 3, 4), workers=2)
    assert (done.made, done.kept, done.failures) == (9, 0, ())
    for scale in (2, 3, 4):
        made, expected = load_pairs(tmp_path / "pairs", scale), load_pairs(originals, scale)
        assert [pair.name for pair in made] == [pair.name.replace("/", "_") for pair in expected]
        for pair, other in zip(made, expected, strict=True):
            assert np.array_equal(pair.lr, other.lr)
            assert np.array_equal(pair.hr, other.hr)
    full = read_image(originals / "astronaut.png")
    assert np.array_equal(read_image(tmp_path / "pairs/image_SRF_4/astronaut_SRF_4_HR.png"), full[:100, :64])


def test_a_picture_of_one_colour_by_hand(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (31, 45), (12, 34, 56)).save(tmp_path / "flat" / "a.bmp")
    prepare(tmp_path / "flat", tmp_path / "pairs", (3,))
    hr, lr = (Image.open(tmp_path / f"pairs/image_SRF_3/a_SRF_3_{kind}.png") for kind in ("HR", "LR"))
    assert (hr.size, hr.getcolors()) == ((30, 45), [(30 * 45, (12, 34, 56))])
    assert (lr.size, lr.getcolors()) == ((10, 15), [(10 * 15, (12, 34, 56))])


def test_a_second_call_makes_nothing(originals: Path, tmp_path: Path) -> None:
    prepare(originals, tmp_path / "pairs")
    before = _contents(tmp_path / "pairs")
    again = prepare(originals, tmp_path / "pairs")
    assert (again.made, again.kept) == (0, 3)
    assert _contents(tmp_path / "pairs") == before
    more = prepare(originals, tmp_path / "pairs", (2, 3))
    assert (more.made, more.kept) == (3, 3)
    anew = prepare(originals, tmp_path / "pairs", force=True)
    assert (anew.made, anew.kept) == (3, 0)


@pytest.mark.parametrize("kind", ["HR", "LR"])
def test_a_damaged_or_missing_file_is_made_again(originals: Path, tmp_path: Path, kind: str) -> None:
    prepare(originals, tmp_path / "pairs")
    before = {name: content for name, (content, _) in _contents(tmp_path / "pairs").items()}
    damaged = tmp_path / f"pairs/image_SRF_2/coffee_SRF_2_{kind}.png"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    (tmp_path / f"pairs/image_SRF_2/astronaut_SRF_2_{kind}.png").unlink()
    done = prepare(originals, tmp_path / "pairs")
    assert (done.made, done.kept) == (2, 1)
    assert {name: content for name, (content, _) in _contents(tmp_path / "pairs").items()} == before


def test_a_changed_original_is_made_again(originals: Path, tmp_path: Path) -> None:
    prepare(originals, tmp_path / "pairs")
    changed = read_image(originals / "coffee.png")[::-1]
    times = (originals / "coffee.png").stat()
    Image.fromarray(changed).save(originals / "coffee.png")
    os.utime(originals / "coffee.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    done = prepare(originals, tmp_path / "pairs")
    assert (done.made, done.kept) == (1, 2)
    assert np.array_equal(read_image(tmp_path / "pairs/image_SRF_2/coffee_SRF_2_HR.png"), changed[:58, :82])


def test_bad_images_are_named_and_the_others_made(originals: Path, tmp_path: Path) -> None:
    (originals / "broken.png").write_bytes((originals / "coffee.png").read_bytes()[:900])
    (originals / "text.jpg").write_text("no image")
    Image.new("RGB", (20, 12)).save(originals / "tiny.png")
    done = prepare(originals, tmp_path / "pairs", workers=2)
    assert (done.made, done.kept) == (3, 0)
    broken, text, tiny = done.failures
    assert broken.startswith(f"{originals / 'broken.png'}: cannot be read as an image")
    assert text == f"{originals / 'text.jpg'}: not an image that Pillow knows"
    assert tiny.startswith(f"{originals / 'tiny.png'}: 20x12 pixels are too few; at least 15x15")
    assert len(load_pairs(tmp_path / "pairs", 2, strict=True)) == 3


def test_files_of_others_are_replaced_only_by_force(originals: Path, tmp_path: Path) -> None:
    target = tmp_path / "pairs" / "image_SRF_2"
    target.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(target / "coffee_SRF_2_LR.png")
    before = _contents(tmp_path / "pairs")
    with pytest.raises(FileExistsError, match=r"coffee_SRF_2_LR\.png: exists already, .*; --force replaces it"):
        prepare(originals, tmp_path / "pairs")
    assert _contents(tmp_path / "pairs") == before
    assert prepare(originals, tmp_path / "pairs", force=True).made == 3
    assert len(load_pairs(tmp_path / "pairs", 2, strict=True)) == 3


@pytest.mark.slow
def test_a_kill_leaves_no_half_file_and_costs_only_what_was_under_way(
    tmp_path: Path, photos: dict[str, ImagePair]
) -> None:
    originals, pairs = tmp_path / "originals", tmp_path / "pairs"
    originals.mkdir()
    for index in range(24):
        Image.fromarray(np.roll(photos["astronaut"].hr, index, axis=0)[:300]).save(
            originals / f"{index:02}.png", compress_level=1
        )
    command = [sys.executable, "-m", "hnas_nni.cli", "data", "prepare", str(originals), "--out", str(pairs)]
    process = subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list(pairs.glob("image_SRF_2/*_LR.png"))) < 3:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = [path for path in pairs.glob("image_SRF_2/*.png") if not path.name.startswith(".")]
    assert 6 <= len(left) < 48
    for path in left:
        read_image(path)
    done = prepare(originals, pairs)
    assert done.kept >= 3
    assert done.made == 24 - done.kept
    assert len(load_pairs(pairs, 2, strict=True)) == 24
    assert not list(pairs.rglob(".*"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda originals: (originals.parent / "nowhere", "pairs"), "nowhere: no such folder"),
        (lambda originals: (originals, "originals/pairs"), "lies in .*; give a folder elsewhere"),
        (lambda originals: (_paired(originals), "other"), "holds LR/HR pairs already; they can be used as they are"),
        (lambda originals: (_clashing(originals), "pairs"), "would get the same name as .*animals_chelsea; rename one"),
    ],
)
def test_sources_that_cannot_be_prepared(originals: Path, tmp_path: Path, make: Source, message: str) -> None:
    source, folder = make(originals)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / folder)


def _paired(originals: Path) -> Path:
    prepare(originals, originals.parent / "pairs")
    return originals.parent / "pairs"


def _clashing(originals: Path) -> Path:
    shutil.copy(originals / "coffee.png", originals / "animals_chelsea.png")
    return originals


@pytest.mark.parametrize(("scales", "workers"), [((0,), 1), ((2,), 0)])
def test_numbers_out_of_range(originals: Path, tmp_path: Path, scales: tuple[int, ...], workers: int) -> None:
    with pytest.raises(DataError, match="at least 1"):
        prepare(originals, tmp_path / "pairs", scales, workers)
    assert not (tmp_path / "pairs").exists()


def test_an_inspection_finds_what_loading_finds(originals: Path, tmp_path: Path) -> None:
    (originals / "text.jpg").write_text("no image")
    Image.new("RGB", (101, 67)).transpose(Image.Transpose.ROTATE_90).save(originals / "again.png")
    found = inspect_images(originals, 2, progress=False)
    assert (found.files, found.usable, found.pairs) == (5, 4, False)
    assert found.sizes == (((100, 66), 2), ((58, 82), 1), ((76, 54), 1))
    assert found.problems == (f"{originals / 'text.jpg'}: not an image that Pillow knows",)
    assert found.usable == len(load_pairs(originals, 2))
    prepare(originals, tmp_path / "pairs")
    assert inspect_images(tmp_path / "pairs", 2, progress=False).pairs
