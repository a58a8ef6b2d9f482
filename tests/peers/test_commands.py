"""The commands take a network of the literature by its name, wherever they take a genotype."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hnas_nni import load
from hnas_nni.architecture.peers import PEERS
from hnas_nni.cli import main
from hnas_nni.data import load_pairs
from hnas_nni.network.export import export
from hnas_nni.network.model_header import ModelFileError, read_header

_TINY = ["--epochs", "1", "--steps-per-epoch", "2", "--batch", "2", "--patch", "24", "-q"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny FSRCNN of two mapping layers, trained for two steps."""
    out = tmp_path_factory.mktemp("trained") / "fsrcnn"
    assert main(["train", "fsrcnn", "--channels", "8", "--layers", "2", "--out", str(out), *_TINY]) == 0
    return out


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small photograph in a folder of its own."""
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(load_pairs("embedded:photos", 2, limit=1)[0].hr[:64, :80]).save(folder / "photo.png")
    return folder / "photo.png"


def test_train_and_load(trained: Path) -> None:
    network = load(trained / "last.safetensors")
    assert network.architecture is PEERS["FSRCNN"]
    assert (network.scale, network.channels, network.layers) == (2, 8, 2)
    settings = json.loads((trained / "settings.json").read_text())["settings"]
    assert (settings["architecture"], settings["channels"], settings["layers"]) == ("FSRCNN", 8, 2)
    untrained = PEERS["FSRCNN"].build(2, 8, 2).state_dict()
    assert network.state_dict().keys() == untrained.keys()


def test_train_again_takes_the_network_of_a_model_file(trained: Path, tmp_path: Path) -> None:
    arguments = ["train", str(trained / "last.safetensors"), "--out", str(tmp_path / "again"), *_TINY]
    assert main([*arguments, "--init", str(trained / "last.safetensors")]) == 0
    assert read_header(tmp_path / "again" / "last.safetensors").channels == 8


def test_sizes_are_the_papers_unless_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "carn", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["network"]["name"] == "CARN"
    assert (shown["channels"], shown["layers"], shown["parameters"]) == (64, 3, 1_591_939)
    assert main(["show", "IMDN", "--channels", "32", "--scale", "4"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("IMDN (Hui et al., ACM Multimedia 2019") and "x4, C = 32, L = 6" in printed


def test_measure_and_compare(trained: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(trained / "last.safetensors")
    assert main(["evaluate", model, "--data", str(image.parent), "--json", "-q"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert found["parameters"] == sum(parameter.numel() for parameter in load(model).parameters())
    assert main(["compare", model, "--data", str(image.parent), "--out", str(tmp_path / "it.png"), "-q"]) == 0
    assert Image.open(tmp_path / "it.png").size[0] > 100


def test_upscale_in_tiles(trained: Path, image: Path, tmp_path: Path) -> None:
    """As the whole image, and as torch computes it."""
    model = trained / "last.safetensors"
    for name, tile in (("whole", "off"), ("tiles", "32")):
        assert main(["upscale", str(model), str(image), "--out", str(tmp_path / name), "--tile", tile, "-q"]) == 0
    whole, tiles = (np.asarray(Image.open(tmp_path / name / image.name)).astype(int) for name in ("whole", "tiles"))
    assert np.abs(whole - tiles).max() <= 1
    lr = torch.from_numpy(np.array(Image.open(image))).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = load(model)(lr)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(whole - expected).max() <= 0.51


@pytest.mark.parametrize("name", ["ESPCN", "IMDN", "SAFMN"])
def test_export(name: str, tmp_path: Path) -> None:
    """On Y, with attention, and with pooling: checked against torch on images of several sizes."""
    peer = PEERS[name]
    network = peer.build(2, 16, 2 if peer.open_layers else peer.layers)
    export(network, tmp_path / "it.pt")
    extra = {"hnas.json": ""}
    torch.jit.load(str(tmp_path / "it.pt"), _extra_files=extra)
    assert json.loads(json.loads(extra["hnas.json"])["network"])["name"] == name


def test_export_as_onnx(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    assert main(["export", str(trained / "last.safetensors"), "--out", str(tmp_path / "it.onnx"), "-q"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "CARM", "--out", "out"], "CARM: no such file or network; known are HNAS-A"),
        (["train", "CARN", "--channels", "32", "--out", "out"], "--channels: the architecture itself has channels 64"),
        (["train", "FALSR-A", "--scale", "3", "--out", "out", "-q"], "scale: FALSR-A is not defined for 3; give 2"),
        (["show", "CARN", "--out", "it.svg"], "CARN: has no cells to draw"),
        (["evaluate", "CARN", "--data", "embedded:photos"], "CARN: is a network, and this takes its weights"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
    if "CARM" in arguments:
        assert all(name in printed for name in PEERS)


def test_init_of_another_network(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "ESPCN", "--init", str(trained / "last.safetensors"), "--out", str(tmp_path / "out"), *_TINY]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert "is of another architecture" in printed and "tensor body." in printed


def test_a_file_of_an_unknown_network(trained: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    file = trained / "last.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    metadata["network"] = metadata["network"].replace("FSRCNN", "CARM")
    save_file(load_file(file), tmp_path / "it.safetensors", metadata)
    with pytest.raises(ModelFileError, match=r"damaged header .CARM: no such network"):
        load(tmp_path / "it.safetensors")
