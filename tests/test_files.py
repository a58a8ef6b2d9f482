"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hnas_nni import HNAS_A, load, save
from hnas_nni.files import replacing


def _permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask for the while of a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path, umask: int) -> None:
    (tmp_path / "ordinary").write_text("")
    assert _permissions(tmp_path / "ordinary") == 0o666 & ~umask
    network = HNAS_A.build(scale=2, channels=2, layers=10)
    save(network, tmp_path / "model.safetensors")  # safetensors itself would leave 0600
    HNAS_A.to_json(tmp_path / "genotype.json")
    with replacing(tmp_path / "private") as temporary:
        temporary.write_text("mine")
        temporary.chmod(0o600)
    for name in ("model.safetensors", "genotype.json", "private"):
        assert _permissions(tmp_path / name) == 0o666 & ~umask, name
    assert len(list(tmp_path.iterdir())) == 4
    found = load(tmp_path / "model.safetensors").state_dict()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("old")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    with pytest.raises(FileNotFoundError), replacing(path):
        pass  # wrote nothing
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="nowhere: no such folder; create it"),
        replacing(tmp_path / "nowhere/it"),
    ):
        pass
