"""The picture that the tuner leaves in a trial's folder, and searches that have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from full_disk import no_room
from small_spaces import choice

from hnas_nni import Genotype
from search_spaces import search_space_json
from strategies.trial_pictures import draw_trial

SPACE = search_space_json(layers=3)
SAMPLE = Genotype.random(1, layers=3).to_sample()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of trial abc."""
    path = tmp_path / "environments" / "local-env" / "trials" / "abc"
    path.mkdir(parents=True)
    return path


def test_a_trial_has_its_picture_where_it_ran_here(folder: Path, tmp_path: Path) -> None:
    assert draw_trial(tmp_path, "abc", SAMPLE, SPACE) == folder / "cells.svg"
    assert "<svg" in (folder / "cells.svg").read_text()
    assert draw_trial(tmp_path, "elsewhere", SAMPLE, SPACE) is None


def test_a_space_of_ones_own_has_none(folder: Path, tmp_path: Path) -> None:
    space = {"cell/op": choice("conv", "pool"), "depth": choice(1, 2)}
    assert draw_trial(tmp_path, "abc", {"cell/op": "conv", "depth": 2}, space) is None
    assert list(folder.iterdir()) == []


def test_without_room_the_search_goes_on(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger="nni.hnas"), no_room():
        assert draw_trial(tmp_path, "abc", SAMPLE, SPACE) is None
    assert f"{folder}: no picture of it could be drawn" in caplog.text
    assert not (folder / "cells.svg").exists()
