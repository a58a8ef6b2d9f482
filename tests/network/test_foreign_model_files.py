"""Model files that ask for more than they hold: nothing is allocated for what is not in the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from hnas_nni import HNAS_A, load, save
from hnas_nni.cost import cost_table, count
from hnas_nni.network.model_file import check
from hnas_nni.network.model_header import ModelFileError
from hnas_nni.searches.names import read_architecture

Arrays = dict[str, np.ndarray]


def write(path: Path, tensors: Arrays, channels: int, genotype: str = HNAS_A.to_json()) -> None:
    """Write a file that says of itself to be a network of HNAS-A's."""
    header = {"format": "hnas-model", "version": "1", "genotype": genotype, "scale": "2", "layers": "12"}
    safetensors.numpy.save_file(tensors, path, header | {"channels": str(channels)})


@pytest.mark.parametrize(
    ("channels", "stem", "message"),
    [
        (20_000, (80_000, 0, 3, 3), "which holds nothing"),
        (4096, (16_384, 1, 1, 1), r"damaged: tensor \S+ is missing"),
        (20_000, (80_000, 1, 1, 1), "channels: 20000 is not valid; give an integer from 1 to 4096"),
        (1, (), "the stem has 0 channels in place of 4 C"),
    ],
)
def test_a_small_file_does_not_ask_for_a_large_network(
    tmp_path: Path, channels: int, stem: tuple[int, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 0 if 0 in stem else 1
    blocks = {f"blocks.{index}.x": np.zeros(size, np.float32) for index in range(12)}
    write(tmp_path / "it.safetensors", {"stem.conv.weight": np.zeros(stem, np.float32)} | blocks, channels)
    allocated: list[str] = []
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: allocated.append(tensor.device.type))
    with pytest.raises(ModelFileError, match=message):
        load(tmp_path / "it.safetensors")
    assert set(allocated) <= {"meta"}


@pytest.mark.parametrize("kind", [np.int8, np.bool_])
def test_weights_are_floats(tmp_path: Path, kind: type) -> None:
    save(HNAS_A.build(2, channels=2, layers=10), tmp_path / "it.safetensors")
    whole = safetensors.numpy.load_file(tmp_path / "it.safetensors")
    write(tmp_path / "it.safetensors", {name: array.astype(kind) for name, array in whole.items()}, 2)
    with pytest.raises(ModelFileError):
        load(tmp_path / "it.safetensors")


def test_a_scale_that_there_is_not_is_one_of_the_file(tmp_path: Path) -> None:
    model = tmp_path / "it.safetensors"
    save(HNAS_A.build(2, channels=2, layers=10), model)
    model.write_bytes(model.read_bytes().replace(b'"scale":"2"', b'"scale":"5"'))
    with pytest.raises(ModelFileError, match=r"it\.safetensors: .* \(scale: 5 is not supported; valid are 2, 3, 4\)"):
        read_architecture(str(model))


def test_what_is_trained_is_as_large_as_the_file_says(tmp_path: Path) -> None:
    """``hnas train MODEL`` takes the architecture alone, and would build the network that the header tells of."""
    model = tmp_path / "it.safetensors"
    save(HNAS_A.build(2, channels=2, layers=12), model)
    whole = safetensors.numpy.load_file(model)
    write(model, whole | {"stem.conv.weight": np.zeros((4096, 1, 1, 1), np.float32)}, 1024)
    assert read_architecture(str(model)).model == model
    with pytest.raises(ModelFileError, match="has the shape"):
        check(model)


def test_a_large_network_is_counted_without_its_weights() -> None:
    """C = 4096 would take gigabytes for an up-and-down projection alone."""
    reserved: list[int] = []
    make = torch.nn.Conv2d.__init__

    def remember(conv: torch.nn.Conv2d, *values: object, **more: object) -> None:
        make(conv, *values, **more)  # type: ignore[arg-type]
        if conv.weight.device.type == "cpu":
            reserved.append(conv.weight.numel())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Conv2d, "__init__", remember)
        cost = cost_table(2, 1024, 12)(HNAS_A)
    assert cost == count(HNAS_A, 2, 1024, 12)
    assert reserved == []
