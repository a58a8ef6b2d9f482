"""Models of a training that diverged are refused: their pictures would be black, or noise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lively_networks import lively_network
from PIL import Image

from hnas_nni import HNAS_A, save
from hnas_nni.cli import main
from hnas_nni.network.network import HNASNetwork


def _not_a_number(network: HNASNetwork) -> None:
    """One weight of many."""
    network.stem.conv.weight[1, 2, 0, 1] = torch.nan


def _infinite(network: HNASNetwork) -> None:
    network.tail.conv.weight[0, 0, 0, 0] = torch.inf


def _huge(network: HNASNetwork) -> None:
    """Finite weights, whose results are not."""
    for parameter in network.parameters():
        parameter.mul_(1e30)


@pytest.mark.parametrize(
    ("damage", "said"), [(_not_a_number, "has weights"), (_infinite, "has weights"), (_huge, "computes numbers")]
)
@pytest.mark.parametrize("command", ["upscale", "evaluate", "compare"])
def test_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
    damage: Callable[[HNASNetwork], None],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    network = lively_network(replace(HNAS_A, position=2), 2, 2)
    with torch.no_grad():
        damage(network)
    save(network, "it.safetensors")
    Path("set").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save("set/a.png")
    arguments = {
        "upscale": ["it.safetensors", "set", "--out", "out"],
        "evaluate": ["it.safetensors", "--data", "set", "--save-images", "out"],
        "compare": ["it.safetensors", "--data", "set", "--out", "it.png"],
    }[command]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([command, *arguments]) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert printed.out == ""
    assert line.startswith(f"hnas {command}: error: ")
    assert f": {said} that are not finite, as after a training that diverged; give another model" in line
    assert not list(tmp_path.rglob("*.png"))[1:]
