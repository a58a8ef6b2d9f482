"""Weights of authors as models of ours: against the released graphs, and what was measured with them by other means.

The weights are not part of this project. Tests of them run where HNAS_PEER_WEIGHTS is their folder, and HNAS_SET5 that
of Set5.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hnas_nni.architecture.peers import PEERS
from hnas_nni.cli import main
from hnas_nni.peers.released_weights import WeightsError, read_released

_FILES = {"FALSR-A": "falsr_a", "FALSR-B": "falsr_b", "FALSR-C": "falsr_c", "CARN-M": "carn_m"}
_FALSR = [name for name in _FILES if name.startswith("FALSR")]


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of weights that authors released."""
    return _folder("HNAS_PEER_WEIGHTS", "the weights that authors of networks released, as arrays")


@pytest.fixture(scope="session")
def set5() -> Path:
    """Set5's folder."""
    return _folder("HNAS_SET5", "Set5 with the published LR images")


def _folder(variable: str, of: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set; give the folder of {of}")
    return Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "psnr", "ssim"),
    [("FALSR-A", 37.98, None), ("FALSR-B", 37.64, None), ("FALSR-C", 37.66, None), ("CARN-M", 37.68, 0.9595)],
)
def test_on_set5(
    weights: Path,
    set5: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    psnr: float,
    ssim: float | None,
) -> None:
    model = tmp_path / "model.safetensors"
    assert main(["import-weights", name, str(weights / f"{_FILES[name]}.npz"), "--out", str(model), "-q"]) == 0
    assert main(["evaluate", str(model), "--data", str(set5), "--json", "-q"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    (scores,) = found["sets"]
    assert scores["psnr"] == pytest.approx(psnr, abs=0.02)
    if ssim is not None:
        assert scores["ssim"] == pytest.approx(ssim, abs=0.0001)


@pytest.mark.parametrize("name", _FALSR)
def test_the_released_graph_operation_by_operation(weights: Path, name: str) -> None:
    network: Any = read_released(PEERS[name], weights / f"{_FILES[name]}.npz")
    luma = torch.rand(1, 1, 9, 12, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = network.enlarge(luma, luma)
        expected = _run_graph(weights / f"{_FILES[name]}", luma)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def _run_graph(stem: Path, luma: torch.Tensor) -> torch.Tensor:
    """Compute the Y that a TensorFlow graph gives, one operation after another, in its own layout (NHWC)."""
    arrays = np.load(stem.with_suffix(".npz"))
    values: dict[str, Any] = {"input_image_evaluate_y": luma.permute(0, 2, 3, 1)}

    def value(reference: Any) -> Any:
        if isinstance(reference, str):
            return values[reference]
        return torch.from_numpy(arrays[reference["weight"]]) if "weight" in reference else reference["value"]

    def convolve(x: torch.Tensor, kernel: torch.Tensor, groups: int) -> torch.Tensor:
        result = F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=kernel.shape[-1] // 2, groups=groups)
        return result.permute(0, 2, 3, 1)

    for operation in json.loads(stem.with_suffix(".json").read_text())["operations"]:
        name, kind = operation["name"], operation["op"]
        if kind == "Placeholder":
            continue
        inputs = [value(reference) for reference in operation["inputs"]]
        if kind == "Conv2D":
            values[name] = convolve(inputs[0], inputs[1].permute(3, 2, 0, 1), 1)
        elif kind == "DepthwiseConv2dNative":
            values[name] = convolve(inputs[0], inputs[1].permute(2, 3, 0, 1), inputs[1].shape[2])
        elif kind == "Split":
            parts = inputs[1].chunk(operation["attributes"]["num_split"], dim=inputs[0])
            values |= {name if number == 0 else f"{name}:{number}": part for number, part in enumerate(parts)}
        elif kind == "ConcatV2":
            values[name] = torch.cat(inputs[:-1], dim=inputs[-1])
        elif kind == "DepthToSpace":
            (x,), side = inputs, operation["attributes"]["block_size"]
            n, height, width, channels = x.shape
            x = x.reshape(n, height, width, side, side, channels // side**2).transpose(2, 3)
            values[name] = x.reshape(n, height * side, width * side, channels // side**2)
        else:
            computed = {"BiasAdd": lambda x, bias: x + torch.as_tensor(bias), "Add": torch.add, "Relu": torch.relu}
            values[name] = computed[kind](*inputs)
        if name == "yout/BiasAdd":
            return values[name].permute(0, 3, 1, 2)
    raise AssertionError("the graph has no Y")


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A small EDSR as its authors' code saves one: with the mean colours, from several GPUs."""
    torch.manual_seed(0)
    state = PEERS["EDSR-baseline"].build(2, 4, 2).state_dict()
    state["sub_mean.weight"] = torch.eye(3).view(3, 3, 1, 1)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "edsr.pth")
    return tmp_path / "edsr.pth"


def test_a_state_dict_of_torch(released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "edsr.safetensors"
    sizes = ["--channels", "4", "--layers", "2"]
    assert main(["import-weights", "EDSR-baseline", str(released), *sizes, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["network"] == "EDSR-baseline"
    torch.manual_seed(0)
    expected = PEERS["EDSR-baseline"].build(2, 4, 2).state_dict()
    from hnas_nni import load

    network = load(out)
    assert (network.architecture, network.scale) == (PEERS["EDSR-baseline"], 2)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, expected[name])


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        (
            "EDSR-baseline",
            (3, 4, 2),
            "EDSR-baseline x3: tensor tail.0.0.weight has the shape (16, 4, 3, 3), not (36, 4",
        ),
        ("EDSR-baseline", (2, 4, 3), "EDSR-baseline x2: tensor body.2.body.0.weight is missing (and "),
        ("CARN", (2, 64, 3), "CARN x2: tensor entry.weight is missing (and "),
        ("FALSR-A", (2, 32, 7), "FALSR-A x2: tensor n32s1/c/kernel is missing (and "),
    ],
)
def test_weights_of_another_network_or_scale(
    released: Path, name: str, sizes: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(WeightsError) as error:
        read_released(PEERS[name], released, *sizes)
    assert str(error.value).startswith(f"{released}: not the weights of {message}")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth", ".txt"])
def test_damaged_weights_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(b"nothing of the kind")
    arguments = [
        "import-weights",
        "CARN",
        str(tmp_path / f"weights{suffix}"),
        "--out",
        str(tmp_path / "out.safetensors"),
    ]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("hnas import-weights: error: ") and printed.count("\n") == 1
    assert f"weights{suffix}" in printed and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_a_small_file_does_not_take_all_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, **{"entry.weight": np.zeros(50 * 2**20, np.float16)})
    else:
        torch.save({"entry.weight": torch.zeros(1, dtype=torch.half).expand(2**20, 2**20)}, path)
    assert path.stat().st_size < 200_000
    with pytest.raises(WeightsError, match=r"can't be read \(holds \d+ bytes, and the network takes \d+ at most"):
        read_released(PEERS["CARN-M"], path)


def test_unknown_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-weights", "CARM", "weights.npz", "--out", str(tmp_path / "out.safetensors")]) == 2
    assert "CARM: no such network; known are plain-stack" in capsys.readouterr().err
