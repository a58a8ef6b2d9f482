"""Exported networks, run by the formats' own runtimes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from hnas_nni import HNAS_A, Cell, Edge, Genotype, export, load, save
from hnas_nni.architecture.cells import INPUT_NODES
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.network.export import TOLERANCE, ExportError
from hnas_nni.network.network import HNASNetwork
from hnas_nni.network.normal_operations import ResidualChannelAttentionBlock
from hnas_nni.network.upsampling_operations import Interpolation


def _cell(*edges: tuple[str, int]) -> Cell:
    return Cell(tuple(Edge(*edge) for edge in edges))


_NORMAL = _cell(*zip((*candidates(PAPER, "normal"), "identity"), (0, 1, 2, 1, 0, 3, 4, 2), strict=True))
EVERY_OPERATION = Genotype(
    normal=_NORMAL,
    upsampling=_cell(
        ("area", 0),
        ("bilinear", 1),
        ("nearest", 0),
        ("deconv", 2),
        ("deconv", 1),
        ("subpixel", 3),
        ("subpixel", 0),
        ("area", 4),
    ),
    position=1,
)
"""All normal operations, at HR; all upsampling ones that upsample, and those with weights that keep the size too."""

OF_OTHER_SCALES = Genotype(
    normal=_cell(("up_down_projection", 0), *(("identity", source) for source in (1, 2, 1, 0, 3, 4, 2))),
    upsampling=EVERY_OPERATION.upsampling,
    position=1,
)
"""All operations that are others at x3 and x4 than at x2: of the normal ones that is one."""


def _every_operation(scale: int) -> Genotype:
    return EVERY_OPERATION if scale == 2 else OF_OTHER_SCALES


REST = Genotype(
    normal=_NORMAL,
    upsampling=_cell(*(("bilinear", 0), ("nearest", 1)) * 2, *(("bilinear", 2), ("nearest", 3)) * 2),
    position=2,
)
"""All normal operations, at LR; the upsampling operations that keep the size and are not in the other."""


def _run_onnx(path: Path) -> Callable[[Tensor], np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda lr: session.run(None, {"lr": lr.numpy()})[0]


def _run_torchscript(path: Path) -> Callable[[Tensor], np.ndarray]:
    module = torch.jit.load(path)
    return lambda lr: module(lr).detach().numpy()


def _run_exported(path: Path) -> Callable[[Tensor], np.ndarray]:
    module = torch.export.load(path).module()
    return lambda lr: module(lr).detach().numpy()


def _onnx_metadata(path: Path) -> Mapping[str, str]:
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def _torchscript_metadata(path: Path) -> Mapping[str, str]:
    files = {"hnas.json": ""}
    torch.jit.load(path, _extra_files=files)
    return json.loads(files["hnas.json"])


def _exported_metadata(path: Path) -> Mapping[str, str]:
    files = {"hnas.json": ""}
    torch.export.load(path, extra_files=files)
    return json.loads(files["hnas.json"])


_SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "exported": ".pt2"}
_RUNNERS = {"onnx": _run_onnx, "torchscript": _run_torchscript, "exported": _run_exported}
_METADATA = {"onnx": _onnx_metadata, "torchscript": _torchscript_metadata, "exported": _exported_metadata}


SEEDS = {2: 2, 3: 1, 4: 7}
"""Scale -> seed of weights that all have an effect."""


def _network(genotype: Genotype, scale: int = 2) -> HNASNetwork:
    """A network whose output depends strongly on each operation, as torch's own initialisation would not have it."""
    torch.manual_seed(SEEDS[scale])
    network = genotype.build(scale=scale, channels=6, layers=2).eval()
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
    for module in network.modules():
        if isinstance(module, ResidualChannelAttentionBlock):
            # Or else its ReLU may pass nothing, or its sigmoid everything.
            nn.init.uniform_(module.attention[1].weight, -0.1, 0.1)
            nn.init.constant_(module.attention[1].bias, 1)
    with torch.no_grad():  # to the range of images
        network.tail.conv.weight /= 4 * network(torch.rand(1, 3, 32, 32)).std()
    return network


Exports = Callable[[int, str], tuple[HNASNetwork, Path, float]]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Scale and format -> the network of every operation, its export, and the difference that was found; made once."""

    @cache
    def make(scale: int, name: str) -> tuple[HNASNetwork, Path, float]:
        network = _network(_every_operation(scale), scale)
        folder = tmp_path_factory.mktemp("export")
        if (scale, name) == (2, "onnx"):  # the format may be named, whatever the file's ending
            return network, folder / "it.bin", export(network, folder / "it.bin", name)
        path = folder / f"it{_SUFFIXES[name]}"
        return network, path, export(network, path)

    return make


def test_the_two_genotypes_have_every_operation_at_both_kinds_of_edge() -> None:
    edges = [edge for genotype in (EVERY_OPERATION, REST) for _, _, edge in genotype.upsampling.slots()]
    assert {edge.operation for edge in edges if edge.source < INPUT_NODES} == set(candidates(PAPER, "upsampling"))
    assert {edge.operation for edge in edges if edge.source >= INPUT_NODES} == set(candidates(PAPER, "upsampling"))
    for genotype in (EVERY_OPERATION, REST):
        assert {edge.operation for _, _, edge in genotype.normal.slots()} == set(candidates(PAPER, "normal"))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_weight_matters_in_these_networks(scale: int) -> None:
    """Or else the comparisons below could pass with a wrong operation."""
    network, lr = _network(_every_operation(scale), scale), torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        expected = network(lr)
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.PReLU):
                weight = module.weight.clone()
                module.weight *= 1.05
                assert (network(lr) - expected).abs().max() > 10 * TOLERANCE, name
                module.weight.copy_(weight)
            if isinstance(module, Interpolation) and module.scale > 1:
                mode = module.mode
                # By whole factors "area" and "nearest" are the same.
                module.mode = "nearest" if mode == "bilinear" else "bilinear"
                assert (network(lr) - expected).abs().max() > 10 * TOLERANCE, name
                module.mode = mode


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", _SUFFIXES)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_operation_at_every_size(exports: Exports, scale: int, name: str) -> None:
    network, path, difference = exports(scale, name)
    assert 0 <= difference <= TOLERANCE
    run = _RUNNERS[name](path)
    # A batch of other sizes than those that the export was made and checked with.
    for size in ((1, 3, 1, 1), (4, 3, 1, 17), (1, 3, 61, 2), (2, 3, 33, 50)):
        lr = torch.rand(size)
        assert np.abs(run(lr) - network(lr).detach().numpy()).max() <= 5e-5
    assert _METADATA[name](path) == {
        "format": "hnas-export",
        "genotype": _every_operation(scale).to_json(),
        "scale": str(scale),
        "channels": "6",
        "layers": "2",
    }
    assert Genotype.from_json(_METADATA[name](path)["genotype"]) == _every_operation(scale)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
def test_onnx_says_what_it_takes(exports: Exports) -> None:
    model = onnx.load(str(exports(2, "onnx")[1]))
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    (lr,), (sr,) = model.graph.input, model.graph.output
    assert (lr.name, sr.name) == ("lr", "sr")
    shape = [axis.dim_param or axis.dim_value for axis in lr.type.tensor_type.shape.dim]
    assert shape == ["batch", 3, "height", "width"]


def test_the_network_stays_as_it_is(tmp_path: Path) -> None:
    network = _network(REST).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export(network, tmp_path / "it.pt")
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.slow
def test_runs_without_this_project(exports: Exports, tmp_path: Path) -> None:
    """The three files in a process that can't import the packages of this project."""
    network = _network(EVERY_OPERATION, 2)
    lr = torch.rand(1, 3, 9, 14)
    np.save(tmp_path / "lr.npy", lr.numpy())
    for name, suffix in _SUFFIXES.items():
        shutil.copy(exports(2, name)[1], tmp_path / f"it{suffix}")
    code = """
import sys
sys.modules["hnas_nni"] = None
import numpy as np, onnxruntime, torch
lr = np.load("lr.npy")
(onnx,) = onnxruntime.InferenceSession("it.onnx").run(None, {"lr": lr})
script = torch.jit.load("it.pt")(torch.from_numpy(lr)).detach().numpy()
exported = torch.export.load("it.pt2").module()(torch.from_numpy(lr)).detach().numpy()
np.save("sr.npy", np.stack([onnx, script, exported]))
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert np.abs(np.load(tmp_path / "sr.npy") - network(lr).detach().numpy()).max() <= 5e-5


def test_a_network_that_computes_no_numbers_is_refused(tmp_path: Path) -> None:
    network = _network(REST)
    with torch.no_grad():
        network.tail.conv.bias[0] = float("nan")
    (tmp_path / "it.pt").write_bytes(b"mine")
    with pytest.raises(ExportError, match=r"it\.pt: TorchScript differs from torch by nan, more than 1e-04"):
        export(network, tmp_path / "it.pt")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    """A network that is not the same twice can't be exported: the file has the first of its results for ever."""

    class Drifting(HNASNetwork):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Drifting.calls += 1
            return super().forward(x) + Drifting.calls  # a constant in the file

    network = Drifting(HNAS_A, scale=2, channels=2, layers=10)
    with pytest.raises(ExportError, match=r"differs from torch by \d.\de\+\d\d, more than 1e-04"):
        export(network, tmp_path / "it.pt")
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tflite: no such format; known are onnx, torchscript, exported"):
        export(_network(REST), tmp_path / "it", "tflite")
    with pytest.raises(ValueError, match=r"it\.tflite: no format has this ending; use one of \.onnx \(onnx\), \.pt "):
        export(_network(REST), tmp_path / "it.tflite")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        export(_network(REST), tmp_path / "nowhere" / "it.pt")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages_are_named(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(
        ValueError, match=rf"needs the package {missing}, which is not .*: pip install 'hnas-nni\[onnx\]'"
    ):
        export(_network(REST), tmp_path / "it.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_file_and_its_export_agree(tmp_path: Path) -> None:
    save(_network(REST, 3), tmp_path / "it.safetensors")
    export(load(tmp_path / "it.safetensors"), tmp_path / "it.pt")
    lr = torch.rand(1, 3, 20, 30)
    assert torch.equal(torch.jit.load(tmp_path / "it.pt")(lr), _network(REST, 3)(lr))
