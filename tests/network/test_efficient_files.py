"""Files of networks of the efficient space: models and exports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from lively_networks import lively_network

from hnas_nni import Cell, Edge, Genotype, export, load, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.network.model_header import ModelFileError, read_header

LAST = Genotype(
    normal=Cell((Edge("conv_3x3", 1), Edge("skip", 0), Edge("collapsible_3x3", 2)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=3,
    depth=3,
    width=6,
    space=EFFICIENT,
)
MIDDLE = replace(LAST, position=2)
X = torch.rand(2, 3, 7, 11, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("suffix", [".pt2", ".onnx", ".pt"])
@pytest.mark.parametrize("genotype", [LAST, MIDDLE], ids=["without_tail", "with_tail"])
def test_exports_compute_the_same_at_every_size(genotype: Genotype, suffix: str, scale: int, tmp_path: Path) -> None:
    network = lively_network(genotype, scale, 3)
    path = tmp_path / f"it{suffix}"
    assert export(network, path) <= 1e-4
    if suffix == ".onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    else:
        module = torch.jit.load(path) if suffix == ".pt" else torch.export.load(path).module()
    for size in ((1, 3, 1, 1), (4, 3, 1, 17), (1, 3, 61, 2), (2, 3, 33, 50)):
        lr = torch.rand(size)
        sr = session.run(None, {"lr": lr.numpy()})[0] if suffix == ".onnx" else module(lr).detach().numpy()
        assert np.abs(sr - network(lr).detach().numpy()).max() <= 5e-5


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("genotype", [LAST, MIDDLE, replace(MIDDLE, depth=None, width=None)])
def test_a_model_file_alone_is_the_network(genotype: Genotype, scale: int, tmp_path: Path) -> None:
    network = lively_network(genotype, scale, 3)
    save(network, tmp_path / "it.safetensors")
    header = read_header(tmp_path / "it.safetensors")
    assert header.architecture == genotype and header.scale == scale
    assert (header.channels, header.layers) == (genotype.width or 4, 3)
    loaded = load(tmp_path / "it.safetensors")
    assert loaded.genotype == genotype and loaded.genotype.space is EFFICIENT
    assert torch.equal(loaded(X), network(X))


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_blocks_without_weights(position: int, tmp_path: Path) -> None:
    skips = Cell((Edge("skip", 1), Edge("skip", 2), Edge("skip", 3)), 1)
    genotype = replace(LAST, normal=skips, position=position, depth=4)
    network = lively_network(genotype, 2, 4)
    save(network, tmp_path / "it.safetensors")
    assert torch.equal(load(tmp_path / "it.safetensors")(X), network(X))


def rewrite(path: Path, **changes: object) -> None:
    """Change the header of a model file, fields of the genotype included."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    genotype = json.loads(metadata["genotype"])
    for name, value in changes.items():
        if name in genotype:
            genotype[name] = value
        if name in metadata:
            metadata[name] = str(value)
    metadata["genotype"] = json.dumps(genotype)
    safetensors.torch.save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 100_000}, "channels is 6, but the genotype has 100000"),
        ({"channels": 100_000}, "channels is 100000, but the genotype has 6"),
        ({"width": 7, "channels": 7}, "channels is 7, but the stem has 6 channels in place of C"),
        ({"depth": 100_000}, "layers is 3, but the genotype has 100000"),
        ({"depth": 4, "layers": 4}, "layers is 4, but there are 3 blocks"),
        ({"depth": 2, "layers": 2}, "layers is 2, but there are 3 blocks"),
        (
            {"scale": 3},
            r"damaged: tensor blocks\.1\.ops\.0\.0\.bias has the shape \(24,\), not \(54,\)",
        ),
        ({"position": 3}, r"damaged: tensor \S+ .*more\)"),
        ({"space": "paper"}, "a damaged header .*normal.2: a node needs a list of exactly 2 edges"),
        ({"version": 3}, "version 3 can't be read"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    save(MIDDLE.build(2), path)
    rewrite(path, **changes)
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_blocks_without_weights_are_no_way_to_ask_for_many(tmp_path: Path) -> None:
    skips = Cell((Edge("skip", 1), Edge("skip", 2), Edge("skip", 3)), 1)
    path = tmp_path / "it.safetensors"
    save(replace(LAST, normal=skips, position=2).build(2), path)
    rewrite(path, depth=10**9, layers=10**9)
    with pytest.raises(ModelFileError, match="layers is 1000000000, but there are 1 blocks"):
        load(path)
