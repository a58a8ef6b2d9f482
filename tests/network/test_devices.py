"""Devices by their names, for trials, searches and models alike."""

from __future__ import annotations

import pytest
import torch

from hnas_nni.network.devices import choose_device


def test_names_are_torchs() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "meta", "cpu:x", ""])
def test_what_no_network_runs_on_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^device {name}: can't be used here; give one of auto, cpu"):
        choose_device(name)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """One beyond the last, whether this machine has none or some."""
    count = torch.cuda.device_count()
    known = rf"give one of auto, cpu, cuda:0.*{count - 1}$" if count else "has no usable GPU"
    with pytest.raises(ValueError, match=known):
        choose_device(f"cuda:{count}")
