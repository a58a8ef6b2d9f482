"""A weight-sharing search on the embedded photographs, done once for all tests that read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SEARCH: dict[str, Any] = {
    "normalization": "none",
    "layers": 3,
    "channels": 4,
    "batch": 2,
    "patch": 24,
    "epochs": 3,
    "weight_steps": 3,
    "controller_steps": 2,
    "controller_batch": 2,
    "architectures": 3,
    "controller_learning_rate": 0.01,
    "validation_architectures": 2,
    "candidates": 6,
    "limit": 2,
    "seed": 5,
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def options() -> list[str]:
    """The same as options of ``hnas search``."""
    return [word for name, value in SEARCH.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a search that ran without interruption."""
    import torch

    from strategies.search import SearchSettings, WeightSharingSearch

    folder = tmp_path_factory.mktemp("search") / "run"
    threads = torch.get_num_threads()
    WeightSharingSearch(SearchSettings(**SEARCH), folder).run()
    torch.set_num_threads(threads)
    return folder
