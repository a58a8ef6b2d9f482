"""The device that these tests run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from hnas_nni.data import load_pairs

ANOTHER_DEVICE = "HNAS_TEST_DEVICE"
"""Environment variable with a device in place of CUDA, so that the tests themselves can be tried without a GPU."""


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Return the device; tests that need it are skipped where torch sees none."""
    name = os.environ.get(ANOTHER_DEVICE, "cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return torch.device(name)


@pytest.fixture(autouse=True)
def exact_convolutions() -> Iterator[None]:
    """Convolutions in full fp32, as the CPU's; networks that the product runs for pictures do so of themselves."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture(scope="session")
def cuttings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small part of each embedded photograph."""
    folder = tmp_path_factory.mktemp("cuttings")
    for pair in load_pairs("embedded:photos"):
        Image.fromarray(pair.hr[100:180, 100:190]).save(folder / f"{pair.name}.png")
    return folder
