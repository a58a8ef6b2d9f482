"""Search spaces that several tests share."""

from __future__ import annotations

from typing import Any

import pytest
from small_spaces import choice

from hnas_nni.architecture.cells import input_label, operation_label
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import PAPER, POSITION_LABEL
from strategies.layout import SpaceLayout


@pytest.fixture(scope="session")
def hnas_search_space() -> dict[str, Any]:
    """Return the full hierarchical space as nnictl JSON, a node's operations listed before its inputs."""
    space = {}
    for cell in PAPER.cells:
        operations = candidates(PAPER, cell)
        for node in PAPER.shapes["normal"].nodes:
            for slot in (0, 1):
                space[operation_label(cell, node, slot)] = choice(*operations)
                space[input_label(cell, node, slot)] = choice(*range(node))
    space[POSITION_LABEL] = choice(*range(1, 13))
    return space


@pytest.fixture(scope="session")
def hnas_layout(hnas_search_space: dict[str, Any]) -> SpaceLayout:
    """Return the layout of the full hierarchical space."""
    return SpaceLayout.from_search_space(hnas_search_space)


@pytest.fixture(scope="session")
def small_search_space() -> dict[str, Any]:
    """Return a space of two cells and two network-level choices, small enough to count out: 1,728."""
    return {
        "a/op_1_0": choice("conv", "pool"),
        "a/input_1_0": choice(0),
        "a/input_2_0": choice(0, 1),
        "a/op_2_0": choice("conv", "pool"),
        "b/kernel": choice(3, 5, 7),
        "b/activation": choice("relu", "gelu", "none"),
        "position": choice(1, 2, 3, 4, 5, 6),
        "width": {"_type": "randint", "_value": [8, 12]},
    }


@pytest.fixture(scope="session")
def small_layout(small_search_space: dict[str, Any]) -> SpaceLayout:
    """Return the layout of the space that can be counted out."""
    return SpaceLayout.from_search_space(small_search_space)
