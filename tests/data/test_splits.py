"""Weight, controller and validation split: sizes, no overlap, independent of the file system."""

from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.data import DataError, ImagePair, Splits, load_splits


def _names(splits: Splits) -> list[list[str]]:
    return [[pair.name for pair in pairs] for pairs in splits]


def _fill(folder: Path, photos: dict[str, ImagePair], names: list[str], first: int = 0) -> Path:
    """One small crop each, all different."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(names, first):
        crop = photos["china"].hr[10 * index : 10 * index + 100, 5 * index : 5 * index + 100]
        Image.fromarray(crop).save(folder / f"{name}.png")
    return folder


def test_photographs_have_fixed_splits() -> None:
    splits = load_splits()
    assert _names(splits) == [
        ["motorcycle", "china"],
        ["coffee", "flower", "rocket"],
        ["astronaut", "chelsea"],
    ]
    assert _names(load_splits(seed=7)) == _names(splits)
    assert [len(pairs) for pairs in load_splits(scale=4, limit=1)] == [1, 1, 1]


def test_folder_is_divided_40_to_60_after_a_tenth_is_held_out(tmp_path: Path, photos: dict[str, ImagePair]) -> None:
    names = [f"i{number:02}" for number in range(20)]
    _fill(tmp_path / "data", photos, names)
    splits = load_splits(tmp_path / "data")
    assert [len(pairs) for pairs in splits] == [7, 11, 2]
    assert sorted(chain.from_iterable(_names(splits))) == names
    assert _names(load_splits(tmp_path / "data", seed=1)) != _names(splits)

    # The same images, written in another order to another place.
    other = tmp_path / "other"
    other.mkdir()
    for name in reversed(names):
        (other / f"{name}.png").write_bytes((tmp_path / "data" / f"{name}.png").read_bytes())
    assert _names(load_splits(other)) == _names(splits)


def test_validation_folder_leaves_all_images_to_the_search(tmp_path: Path, photos: dict[str, ImagePair]) -> None:
    data = _fill(tmp_path / "data", photos, list("abcde"))
    validation = _fill(tmp_path / "validation", photos, list("ab"), first=10)
    splits = load_splits(data, validation=validation)
    assert [len(pairs) for pairs in splits] == [2, 3, 2]
    assert _names(splits)[2] == ["a", "b"]
    assert _names(load_splits(data, validation="embedded:photos"))[2][:1] == ["astronaut"]


def test_an_image_of_the_validation_folder_may_not_be_searched_on(tmp_path: Path, photos: dict[str, ImagePair]) -> None:
    data = _fill(tmp_path / "data", photos, list("abcde"))
    inside = _fill(data / "validation", photos, list("xy"), first=10)
    for validation in (data, inside):
        with pytest.raises(DataError, match="in the search's images and in the validation set"):
            load_splits(data, validation=validation)
    # A copy under another name and in another format.
    elsewhere = _fill(tmp_path / "elsewhere", photos, ["fine"], first=20)
    Image.open(data / "c.png").save(elsewhere / "renamed.bmp")
    with pytest.raises(DataError, match=r"c in .* is the same image as renamed"):
        load_splits(data, validation=elsewhere)


def test_copies_within_a_folder_do_not_reach_two_splits(
    tmp_path: Path, photos: dict[str, ImagePair], caplog: pytest.LogCaptureFixture
) -> None:
    data = _fill(tmp_path / "data", photos, [f"i{number}" for number in range(8)])
    for number in range(8):
        Image.open(data / f"i{number}.png").save(data / f"copy{number}.bmp")
    with caplog.at_level(logging.WARNING):
        splits = load_splits(data)
    images = [{pair.hr.tobytes() for pair in pairs} for pairs in splits]
    assert not images[0] & images[1] and not images[0] & images[2] and not images[1] & images[2]
    assert any("the same image as" in record.getMessage() for record in caplog.records)


def test_small_images_are_left_out_of_the_search_only(
    tmp_path: Path, photos: dict[str, ImagePair], caplog: pytest.LogCaptureFixture
) -> None:
    data = _fill(tmp_path / "data", photos, list("abcd"))
    Image.fromarray(photos["coffee"].hr[:60, :60]).save(data / "small.png")
    validation = tmp_path / "validation"
    validation.mkdir()
    Image.fromarray(photos["flower"].hr[200:260, 300:360]).save(validation / "v.png")
    with caplog.at_level(logging.WARNING):
        splits = load_splits(data, validation=validation)
    assert sorted(_names(splits)[0] + _names(splits)[1]) == list("abcd")
    assert _names(splits)[2] == ["v"]
    assert "small.png" in caplog.text
    assert [len(pairs) for pairs in load_splits(data, validation=validation, patch_size=48)] == [2, 3, 1]


def test_too_few_images(tmp_path: Path, photos: dict[str, ImagePair]) -> None:
    data = _fill(tmp_path / "data", photos, list("ab"))
    with pytest.raises(DataError, match="at least 3 images"):
        load_splits(data)
    assert [len(pairs) for pairs in load_splits(data, validation="embedded:photos", limit=1)] == [1, 1, 1]
    (data / "a.png").unlink()
    with pytest.raises(DataError, match="at least 2 images beside"):
        load_splits(data, validation="embedded:photos")
    _fill(data, photos, list("abc"))
    assert [len(pairs) for pairs in load_splits(data)] == [1, 1, 1]


def test_splits_hold_whole_images(photos: dict[str, ImagePair]) -> None:
    splits = load_splits(limit=1)
    assert np.array_equal(splits.validation[0].hr, photos["astronaut"].hr)
    assert np.array_equal(splits.weight[0].lr, photos["motorcycle"].lr)
