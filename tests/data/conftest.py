"""Real photographs for the tests of the data package."""

from __future__ import annotations

import pytest

from hnas_nni.data import ImagePair, load_pairs


@pytest.fixture(scope="session")
def photos() -> dict[str, ImagePair]:
    """The embedded photographs at x2, by name."""
    return {pair.name: pair for pair in load_pairs("embedded:photos", 2)}
