"""The memory estimate against a network worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from hnas_nni import HNAS_A, HNAS_B
from hnas_nni.inference.memory import available_bytes, bytes_per_pixel

_CPU = torch.device("cpu")
_FLOAT_BYTES = 4
_WORKSPACE = 1.8


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("layers", [3, 5])
def test_by_hand(channels: int, layers: int) -> None:
    # Most is alive when the upsampling cell, the last block, puts its nodes together. In maps of C channels at low
    # resolution: the stem's output 4, both states 8, both inputs 2, four nodes of four times the pixels 16, their
    # concatenation 16.
    network = replace(HNAS_B, position=layers).build(2, channels, layers)
    assert bytes_per_pixel(network) == pytest.approx(_WORKSPACE * _FLOAT_BYTES * channels * 46, rel=0.02)


def test_early_upsampling_takes_more() -> None:
    needs = [bytes_per_pixel(replace(HNAS_A, position=position).build(2, 4, 6)) for position in (2, 6)]
    assert needs[0] > 1.1 * needs[1]


def test_the_container_limits_what_is_available(tmp_path: Path) -> None:
    assert available_bytes(_CPU, tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.1)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert available_bytes(_CPU, tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(_CPU, tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.1)
