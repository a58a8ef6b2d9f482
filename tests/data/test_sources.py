"""LR/HR pairs from every layout of folders, and one clear line for each fault in them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import DataError, ImagePair, bicubic_downsample, load_pairs


def _save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture()
def crops(photos: dict[str, ImagePair]) -> dict[str, np.ndarray]:
    """Three odd-sized crops of photographs; only red is an odd number of pixels wide and high at x2."""
    return {
        "blossom": photos["flower"].hr[100:260, 200:380],
        "eye": photos["chelsea"].hr[60:180, 100:260],
        "red": photos["coffee"].hr[50:151, 60:161],
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_embedded_photographs(scale: int) -> None:
    pairs = load_pairs("embedded:photos", scale)
    assert len({pair.name for pair in pairs}) == 7
    for pair in pairs:
        assert pair.hr.shape == (scale * pair.lr.shape[0], scale * pair.lr.shape[1], 3)
        assert np.array_equal(pair.lr, bicubic_downsample(pair.hr, scale))
        # Colour photographs: the channels differ, and no two photographs are the same.
        assert np.ptp(pair.hr.astype(int), axis=2).mean() > 5
    assert len({pair.hr.tobytes() for pair in pairs}) == 7


def test_folder_of_hr_images_with_subfolders(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    _save(tmp_path / "red.png", crops["red"])
    _save(tmp_path / "birds" / "eye.PNG", crops["eye"])
    _save(tmp_path / ".cache" / "hidden.png", crops["eye"])
    _save(tmp_path / "._red.png", crops["eye"])
    (tmp_path / "readme.txt").write_text("text")
    pairs = load_pairs(tmp_path, 2)
    assert [pair.name for pair in pairs] == ["birds/eye", "red"]
    assert np.array_equal(pairs[1].hr, crops["red"][:100, :100])
    assert np.array_equal(pairs[1].lr, bicubic_downsample(crops["red"][:100, :100], 2))


def test_same_name_with_two_endings_stays_apart(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    _save(tmp_path / "a.png", crops["red"])
    _save(tmp_path / "a.bmp", crops["eye"])
    assert [pair.name for pair in load_pairs(tmp_path, 2)] == ["a.bmp", "a.png"]


@pytest.mark.parametrize(("hr_name", "lr_name"), [("HR", "LR_bicubic"), ("DIV2K_train_HR", "DIV2K_train_LR_bicubic")])
def test_edsr_layout_takes_the_lr_images_given(
    tmp_path: Path, crops: dict[str, np.ndarray], hr_name: str, lr_name: str
) -> None:
    _save(tmp_path / "DIV2K_valid_HR" / "0801.png", crops["eye"])
    for name, image in crops.items():
        _save(tmp_path / hr_name / f"{name}.png", image)
        # Marked, so that LR made from HR would be noticed; red's has MATLAB's additional row and column.
        _save(tmp_path / lr_name / "X2" / f"{name}x2.png", bicubic_downsample(image, 2) // 2)
    pairs = {pair.name: pair for pair in load_pairs(tmp_path, 2)}
    assert sorted(pairs) == sorted(crops)
    assert np.array_equal(pairs["eye"].lr, bicubic_downsample(crops["eye"], 2) // 2)
    assert pairs["red"].hr.shape == (100, 100, 3)
    assert np.array_equal(pairs["red"].lr, (bicubic_downsample(crops["red"], 2) // 2)[:50, :50])

    with pytest.raises(DataError, match=r"no such folder of LR images at x3, only x2; .*HR to have LR made"):
        load_pairs(tmp_path, 3)
    (tmp_path / lr_name / "X2" / "eyex2.png").unlink()
    with pytest.raises(DataError, match=r"eye\.png: its LR image .*eyex2\.png is missing"):
        load_pairs(tmp_path, 2)
    # The HR folder by itself is a plain folder.
    alone = {pair.name: pair for pair in load_pairs(tmp_path / hr_name, 3)}
    assert np.array_equal(alone["blossom"].lr, bicubic_downsample(crops["blossom"][:159], 3))


@pytest.mark.parametrize(
    ("hr_name", "lr_name"),
    [
        ("GTmod12/{}", "LRbicx2/{}"),  # BasicSR's Set5
        ("HR/{}", "LR/{}"),
        ("HR/{}", "LR/x2/{}"),
        ("hr/{}", "lr_x2/{}x2"),
        ("GT/{}", "LQ/{}"),
        ("HR/{}", "LR_bicubic_X2/{}_x2"),
        ("Set_GT/000/{}", "Set_LR_bicubic/X2/000/{}"),  # frames of a film
    ],
)
def test_other_layouts_of_pairs(tmp_path: Path, crops: dict[str, np.ndarray], hr_name: str, lr_name: str) -> None:
    for name in ("eye", "blossom"):
        _save(tmp_path / (hr_name.format(name) + ".png"), crops[name])
        _save(tmp_path / (lr_name.format(name) + ".png"), bicubic_downsample(crops[name], 2) // 2)
        _save(tmp_path / "LRbicx4" / f"{name}.png", bicubic_downsample(crops[name], 4))
        _save(tmp_path / "original" / f"{name}.png", crops[name])
    pairs = load_pairs(tmp_path, 2)
    assert [Path(pair.name).name for pair in pairs] == ["blossom", "eye"]
    assert np.array_equal(pairs[1].hr, crops["eye"])
    assert np.array_equal(pairs[1].lr, bicubic_downsample(crops["eye"], 2) // 2)


@pytest.mark.parametrize(
    ("large", "small"),
    [
        ("Set5/GTmod12/eye", "Set5/LRbicx2/eye"),  # a folder of benchmarks
        ("HR/eye", "LR_unknown/X2/eyex2"),
        ("trainH/eye", "trainL/eye"),
        ("eye", "eyex2"),
        ("eye_HR", "eye_LR"),
        ("hr_eye", "lr_eye"),
        ("eye_HR", "eye_LR2"),
        ("eye_GT", "eye_bicubic_2x"),
        ("eye", "thumbnails/eye"),
    ],
)
def test_what_looks_like_a_pair_and_is_none_is_refused(
    tmp_path: Path, crops: dict[str, np.ndarray], large: str, small: str
) -> None:
    _save(tmp_path / "other.png", crops["blossom"])
    _save(tmp_path / f"{large}.png", crops["eye"])
    lr = _save(tmp_path / f"{small}.png", bicubic_downsample(crops["eye"], 2))
    with pytest.raises(DataError) as refused:
        load_pairs(tmp_path, 2)
    assert str(refused.value).startswith(f"{lr}: ") and "of HR images alone" in str(refused.value)
    # Another picture of that name and size is no LR image.
    if "LR" not in small:
        _save(lr, crops["blossom"][:60, :80])
        assert len(load_pairs(tmp_path, 2)) == 3


@pytest.mark.parametrize(
    ("hr", "lr"), [("GTmod12", "LRbicx2"), ("HR", "LR"), ("A_HR", "A_LR_bicubic/X2"), ("HR", "LR_unknown/x2")]
)
def test_a_folder_of_lr_images_beside_their_hr_images_is_refused(
    tmp_path: Path, crops: dict[str, np.ndarray], hr: str, lr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path / hr / "a.png", crops["eye"])
    _save(tmp_path / lr / "a.png", bicubic_downsample(crops["eye"], 2))
    with pytest.raises(DataError) as refused:
        load_pairs(tmp_path / lr, 2)
    assert str(refused.value).startswith(f"{tmp_path / lr}: ") and f"give {tmp_path / hr}" in str(refused.value)
    monkeypatch.chdir(tmp_path / lr)
    with pytest.raises(DataError, match="would be taken for HR"):
        load_pairs(".", 2)
    # Alone it may be anybody's folder.
    (tmp_path / hr).rename(tmp_path / "other")
    assert len(load_pairs(tmp_path / lr, 2)) == 1


def test_edsr_layout_with_several_sets_asks_which(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    for name in ("A", "B"):
        _save(tmp_path / f"{name}_HR" / "a.png", crops["eye"])
        _save(tmp_path / f"{name}_LR_bicubic" / "X2" / "ax2.png", bicubic_downsample(crops["eye"], 2))
    with pytest.raises(DataError, match="several sets: A_HR, B_HR"):
        load_pairs(tmp_path, 2)


def test_selfexsr_layout(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    folder = tmp_path / "image_SRF_2"
    for name in ("eye", "blossom"):
        _save(folder / f"{name}_SRF_2_HR.png", crops[name])
        _save(folder / f"{name}_SRF_2_LR.png", bicubic_downsample(crops[name], 2) // 2)
    for source in (tmp_path, folder):
        pairs = load_pairs(source, 2)
        assert [pair.name for pair in pairs] == ["blossom", "eye"]
        assert np.array_equal(pairs[1].hr, crops["eye"])
        assert np.array_equal(pairs[1].lr, bicubic_downsample(crops["eye"], 2) // 2)
    with pytest.raises(DataError, match=r"no image_SRF_4, only x2"):
        load_pairs(tmp_path, 4)
    with pytest.raises(DataError, match=r"is for x2, not x4"):
        load_pairs(folder, 4)
    with pytest.raises(DataError, match=r"belongs to a benchmark.s LR/HR pairs"):
        load_pairs(tmp_path.parent, 2)
    (folder / "eye_SRF_2_LR.png").unlink()
    with pytest.raises(DataError, match=r"eye_SRF_2_HR\.png: its LR image .* is missing"):
        load_pairs(tmp_path, 2)


def test_lr_of_another_size_is_refused(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    _save(tmp_path / "HR" / "eye.png", crops["eye"])
    lr = _save(tmp_path / "LR_bicubic" / "X2" / "eyex2.png", bicubic_downsample(crops["eye"], 4))
    with pytest.raises(DataError, match=r"eyex2\.png: is 40x30 pixels, but .* asks for 80x60 at x2"):
        load_pairs(tmp_path, 2)
    assert lr.exists()


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "file", "not a folder"),
        (tmp_path, "no images in this folder"),
    ):
        with pytest.raises(DataError, match=message) as refused:
            load_pairs(path, 2)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize("scale", [0, -2, 1.5, True])
def test_bad_scale(scale: int) -> None:
    with pytest.raises(DataError, match="scale must be a whole number"):
        load_pairs("embedded:photos", scale)


def test_unusable_files_are_left_out_with_one_line_each(
    tmp_path: Path, crops: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    _save(tmp_path / "good.png", crops["eye"])
    _save(tmp_path / "small.png", crops["eye"][:40, :95])
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        pairs = load_pairs(tmp_path, 2, minimum_size=96)
    assert [pair.name for pair in pairs] == ["good"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert str(tmp_path / "bad.png") in lines[0]
    assert f"{tmp_path / 'small.png'}: 95x40 pixels are too few" in lines[1]

    for name in ("bad.png", "small.png"):
        with pytest.raises(DataError, match=name):
            load_pairs(tmp_path, 2, minimum_size=96, strict=True)
        (tmp_path / name).unlink()
    assert len(load_pairs(tmp_path, 2, minimum_size=96, strict=True)) == 1
    with pytest.raises(DataError, match="none of the 1 images"):
        load_pairs(tmp_path, 2, minimum_size=500)


def test_limit_counts_usable_images(tmp_path: Path, crops: dict[str, np.ndarray]) -> None:
    (tmp_path / "a.png").write_text("not an image")
    for name in "bcd":
        _save(tmp_path / f"{name}.png", crops["eye"])
    assert [pair.name for pair in load_pairs(tmp_path, 2, limit=2)] == ["b", "c"]
    with pytest.raises(DataError, match="at least 1"):
        load_pairs(tmp_path, 2, limit=0)


def test_a_folder_is_a_folder_whatever_it_is_called(
    in_folder: None, crops: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="photos: no such folder; give a folder of images, or 'embedded:photos'"):
        load_pairs("photos", 2)
    _save(Path("photos/mine.png"), crops["eye"])
    for source in ("photos", "photos/", "./photos", Path("photos")):
        assert [pair.name for pair in load_pairs(source, 2)] == ["mine"]
    _save(Path("embedded:photos/mine.png"), crops["eye"])
    for source in ("embedded:photos", Path("embedded:photos")):
        assert "mine" not in [pair.name for pair in load_pairs(source, 2)]
    assert [pair.name for pair in load_pairs("./embedded:photos", 2)] == ["mine"]
    assert main(["data", "check", "photos"]) == 0
    assert capsys.readouterr().out.startswith("photos: 1 of 1 usable at x2")
    assert main(["evaluate", "bicubic", "--scale", "2", "--data", "photos", "embedded:photos", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-3:] == ["photos", "embedded:photos", "s/Mpixel"]
