"""Which markers follow from the fixtures that a test uses; in which order, and by how many workers, tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FIXTURES = {"nni": {"run_experiment", "share_experiment"}, "browser": {"chromium", "browser"}}
_ORDER = ("nni", "slow", "browser")
"""Files with such tests come first where workers share a run, lest one works on a long one after all others ended."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores, as some wait for NNI or a browser; at most four."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, and begin with what takes long."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for marker, fixtures in _FIXTURES.items():
            if used & fixtures:
                item.add_marker(marker)
    if hasattr(config, "workerinput"):
        first: dict[Path, int] = {}
        for item in items:
            places = [_ORDER.index(marker.name) for marker in item.iter_markers() if marker.name in _ORDER]
            first[item.path] = min([first.get(item.path, len(_ORDER)), *places])
        items.sort(key=lambda item: first[item.path])
