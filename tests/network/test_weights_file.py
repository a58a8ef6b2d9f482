"""Model files byte by byte: equal networks, equal checksums; safetensors itself reads them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lively_networks import lively_network
from safetensors import safe_open

from hnas_nni import HNAS_A, Genotype, load, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.network.weights_file import weights_file


@pytest.mark.parametrize("genotype", [replace(HNAS_A, position=2), Genotype.random(0, space=EFFICIENT)])
def test_equal_networks_are_equal_files(genotype: Genotype, tmp_path: Path) -> None:
    network, digests = lively_network(genotype, 2, 2), set()
    for number in range(8):  # safetensors' own order of five entries differs from call to call
        path = tmp_path / f"{number}.safetensors"
        save(network, path)
        network = load(path)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_safetensors_reads_what_was_written(tmp_path: Path) -> None:
    tensors = {"b.weight": torch.rand(3, 2), "a": torch.tensor([1.5], dtype=torch.float16), "none": torch.zeros(2, 0)}
    said = {"z": "last", "a": 'ä "quoted"', "m": "{}"}
    for length in range(9):  # headers of every length, as numbers begin at multiples of eight bytes
        (tmp_path / "it").write_bytes(weights_file(tensors, {**said, "pad": "x" * length}))
        with safe_open(tmp_path / "it", framework="pt") as file:
            assert file.metadata() == {**said, "pad": "x" * length}
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
