"""Upscaling on a GPU: in tiles or not, as on the CPU, within bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hnas_nni import save
from hnas_nni.inference import NetworkModel, enlarge, tile_size
from hnas_nni.inference.upscaling import upscale
from hnas_nni.network.network import HNASNetwork

pytestmark = pytest.mark.cuda

_GIB = 2**30
_RESERVED_SHARE = 0.03


def picture(height: int, width: int) -> np.ndarray:
    """Noise on a slope, uint8."""
    generator = np.random.default_rng(0)
    slope = np.linspace(0, 200, width, dtype=np.float32)[None, :, None]
    return (slope + generator.integers(0, 56, (height, width, 3))).astype(np.uint8)


def assert_nearly_equal(found: np.ndarray, expected: np.ndarray) -> None:
    """One grey level apart at most, and that at few places, where rounding tips over."""
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("attention", [False, True], ids=["local", "attention"])
@pytest.mark.parametrize("ensemble", [False, True], ids=["once", "ensemble"])
def test_as_on_the_cpu(
    attention: bool,
    ensemble: bool,
    device: torch.device,
    local_network: HNASNetwork,
    attention_network: HNASNetwork,
) -> None:
    network = attention_network if attention else local_network
    image = picture(37, 52)
    expected = enlarge(image, NetworkModel(copy.deepcopy(network), ensemble=ensemble))
    model = NetworkModel(copy.deepcopy(network), device=device, ensemble=ensemble)
    assert_nearly_equal(enlarge(image, model), expected)
    wide = enlarge(image.astype(np.float32) / 255, model)
    assert np.abs(wide - expected / 255).max() < 1 / 255


def test_tiles_leave_no_seams(device: torch.device, local_network: HNASNetwork) -> None:
    model = NetworkModel(copy.deepcopy(local_network), device=device)
    image = picture(70, 95)
    assert_nearly_equal(enlarge(image, model, 32), enlarge(image, model, None))


def test_memory_is_bounded(device: torch.device, local_network: HNASNetwork) -> None:
    """A picture of 8K takes no more than the tiles are made for, whatever its size."""
    model = NetworkModel(copy.deepcopy(local_network), device=device)
    height, width = (4320, 7680) if device.type == "cuda" else (270, 480)
    image = picture(height, width)
    if device.type == "cuda":
        assert tile_size(height, width, model) < height
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    result = enlarge(image, model)
    assert result.shape == (2 * height, 2 * width, 3)
    if device.type == "cuda":
        # The tiles are made to take 1 GiB; what a library takes for itself is not known to us.
        assert torch.cuda.max_memory_allocated(device) - before < 1.5 * _GIB
    # The middle, far from where the whole picture ends, as a cutting gives it.
    top, left, side, rim = height // 2 - 30, width // 2 - 40, 60, model.overlap
    cutting = image[top - rim : top + side + rim, left - rim : left + side + rim]
    expected = enlarge(cutting, model, None)[2 * rim : 2 * (rim + side), 2 * rim : 2 * (rim + side)]
    assert_nearly_equal(result[2 * top : 2 * (top + side), 2 * left : 2 * (left + side)], expected)


def test_files_and_pillow_images(device: torch.device, local_network: HNASNetwork, tmp_path: Path) -> None:
    save(local_network, tmp_path / "model.safetensors")
    image = Image.fromarray(picture(30, 41))
    expected, found = (
        np.asarray(upscale(image, tmp_path / "model.safetensors", device=name)) for name in ("cpu", str(device))
    )
    assert found.shape == (60, 82, 3)
    assert_nearly_equal(found, expected)


@pytest.fixture
def little_memory(device: torch.device) -> Iterator[None]:
    """The process may take only a small part of the GPU's memory for the while."""
    if device.type != "cuda":
        pytest.skip("only a GPU's memory can be limited within a process")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(_RESERVED_SHARE)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("little_memory")
def test_too_little_memory_is_one_clear_error(device: torch.device, attention_network: HNASNetwork) -> None:
    model = NetworkModel(copy.deepcopy(attention_network), device=device)
    side = 6000
    with pytest.raises(ValueError, match=f"memory of the cuda does not suffice.*give --tile {side // 2} or less"):
        enlarge(picture(side, side), model, None)
    # And the device can still be used.
    assert enlarge(picture(40, 40), model, None).shape == (80, 80, 3)
