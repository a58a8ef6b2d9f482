"""What the markers of pyproject.toml say follows from the fixtures that a test uses, where it can."""

from __future__ import annotations

from pathlib import Path

import pytest

_FIXTURES = {"nni": {"run_experiment", "share_experiment"}, "browser": {"chromium", "browser"}}
_ORDER = ("nni", "slow", "browser")
"""Files with such tests come first where workers share a run, lest one works on a long one after all others ended."""


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
