"""Fixtures of several folders of tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Tests start many a Python process. Where the environment says not to keep what is compiled, each would compile torch
# and NNI anew, which takes as long again as to load them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Several tests run side by side; threads of torch that wait for each other's core would take many times as long. Set
# before torch is loaded, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What NNI's ENAS and PolicyBasedRL learn with compiles itself in every process, for seconds; here it gets few numbers.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

pytest_plugins = [
    "nni_experiment",
    "shared_experiments",
    "finished_searches",
    "kinds_of_tests",
    "photo_task",
    "tiled_networks",
    "tiny_training",
]


@pytest.fixture
def nni_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, in place of the user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where :func:`in_folder` runs a test; a file's own fixture of this name takes its place."""
    return tmp_path


@pytest.fixture
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the test in `folder`."""
    monkeypatch.chdir(folder)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look for docstrings' examples in the packages, not in helpers of tests, which are no modules of a package."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None
