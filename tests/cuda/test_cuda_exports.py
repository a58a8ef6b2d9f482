"""What is exported from a network on a GPU computes what the network does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lively_networks import lively_network

from hnas_nni import HNAS_B, export

pytestmark = pytest.mark.cuda

LAYERS = 4


@pytest.mark.parametrize("suffix", [".pt", ".pt2", ".onnx"])
def test_exports(suffix: str, device: torch.device, tmp_path: Path) -> None:
    """Exported from a network on the device, run on the CPU; TorchScript on the device too."""
    network = lively_network(replace(HNAS_B, position=3), 2, LAYERS).to(device)
    path = tmp_path / f"network{suffix}"
    if suffix == ".onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    export(network, path)
    images = torch.rand(1, 3, 21, 17, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = network(images.to(device)).cpu()
    assert next(network.parameters()).device.type == device.type
    if suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = [torch.from_numpy(session.run(None, {"lr": images.numpy()})[0])]
    elif suffix == ".pt":
        script = torch.jit.load(path)
        with torch.inference_mode():
            found = [script(images), script.to(device)(images.to(device)).cpu()]
    else:
        with torch.inference_mode():
            found = [torch.export.load(path).module()(images)]
    for one in found:
        torch.testing.assert_close(one, expected, rtol=0, atol=1e-4)
