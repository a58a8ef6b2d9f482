"""A weight-sharing search on the embedded photographs, done once for all tests that read it.

It is measured on two small images of different sizes: with whole photographs that would be half of all its time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

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
def held_out(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of the validation images, which are in no other set."""
    folder = tmp_path_factory.mktemp("held_out")
    for name, box in (("wide", (60, 100, 180, 164)), ("high", (200, 60, 260, 150))):
        Image.fromarray(skimage.data.cat()).crop(box).save(folder / f"{name}.png")
    return str(folder)


@pytest.fixture(scope="session")
def options(held_out: str) -> list[str]:
    """The same as options of ``hnas search``; those of the validation come last."""
    words = [word for name, value in SEARCH.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*words, "--validation", held_out]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, held_out: str) -> Path:
    """Folder of a search that ran without interruption."""
    import torch

    from strategies.search import SearchSettings, WeightSharingSearch

    folder = tmp_path_factory.mktemp("search") / "run"
    threads = torch.get_num_threads()
    WeightSharingSearch(SearchSettings(**SEARCH, validation=held_out), folder).run()
    torch.set_num_threads(threads)
    return folder
