"""``hnas export``: what it prints and writes, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hnas_nni import Genotype, save
from hnas_nni.cli import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(Genotype.random(0, layers=2).build(scale=2, channels=3, layers=2), tmp_path / "it.safetensors")
    return tmp_path / "it.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "title"),
    [
        (["--out", "it.onnx"], "ONNX, opset 18"),
        (["--out", "it.pt"], "TorchScript"),
        (["--out", "it.onnx", "--format", "torchscript"], "TorchScript"),
    ],
)
def test_says_what_it_wrote(
    model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], options: list[str], title: str
) -> None:
    monkeypatch.chdir(model.parent)
    assert main(["export", model.name, *options]) == 0
    printed = capfd.readouterr()
    size = Path(options[1]).stat().st_size
    first, second = printed.out.splitlines()
    assert first == f"{options[1]}: {title}, {size:,} bytes"
    assert second.startswith("largest difference to torch: ")
    assert second.endswith(" (at most 1e-04 is accepted)")
    assert printed.err == ""


def test_json(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "it.pt"
    assert main(["export", str(model), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 <= found.pop("max_abs_difference") <= found.pop("tolerance")
    assert found == {"file": str(out), "format": "torchscript", "bytes": out.stat().st_size}


def test_replaces_a_file_only_by_force(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "it.pt").write_bytes(b"mine")
    arguments = ["export", str(model), "--out", str(tmp_path / "it.pt")]
    assert main(arguments) == 2
    assert "exists already; give another name, or --force" in capsys.readouterr().err
    assert (tmp_path / "it.pt").read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 0
    torch.jit.load(tmp_path / "it.pt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.safetensors", "--out", "it.pt"], "nowhere.safetensors: no such model file"),
        (["damaged.safetensors", "--out", "it.pt"], "damaged.safetensors: damaged or not a model of hnas-nni"),
        (["it.safetensors", "--out", "it.tflite"], "it.tflite: no format has this ending; use one of .onnx"),
        (["it.safetensors", "--out", "it.pt", "--format", "tflite"], "argument --format: invalid choice: 'tflite'"),
        (["it.safetensors", "--out", "nowhere/it.pt"], "nowhere: no such folder; create it"),
        (["it.safetensors", "--out", "."], "is a folder; give the name of a file"),
        (["it.safetensors"], "the following arguments are required: --out"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(model.parent)
    Path("damaged.safetensors").write_bytes(model.read_bytes()[:-100])
    before = sorted(Path().iterdir())
    assert main(["export", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hnas export: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(Path().iterdir()) == before
