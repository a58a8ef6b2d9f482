"""``hnas show``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from hnas_nni import HNAS_A, HNAS_B, Genotype
from hnas_nni.cli import main
from hnas_nni.cost import count


def test_shows_cells_network_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "hnas-a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "normal cell"
    assert lines[1] == "  node 2 = identity(node 1) + sep. conv 5x5(node 1)"
    assert "  node 5 = bilinear(node 1) + transposed conv(node 3)" in lines
    (network,) = [line for line in lines if line.startswith("  stem - ")]
    blocks = network.strip().split(" - ")
    assert (len(blocks), blocks.index("[UP]")) == (14, 10)
    assert "  parameters     974,019" in lines  # counted on the authors' own network


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "channels", "layers"), [(2, 64, 12), (3, 8, 14)])
def test_json_agrees_with_a_profile_of_the_network(
    capsys: pytest.CaptureFixture[str], scale: int, channels: int, layers: int
) -> None:
    sizes = {"scale": scale, "channels": channels, "layers": layers}
    options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
    assert main(["show", "HNAS-B", *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    cost = count(HNAS_B, **sizes)
    assert (shown["multiply_adds"], shown["convolution_multiply_adds"]) == (cost.macs, cost.conv_macs)
    network: nn.Module = HNAS_B.build(**sizes)
    assert shown["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert Genotype.from_dict(shown["genotype"]) == HNAS_B
    assert {key: shown[key] for key in sizes} == sizes


def test_reads_a_file_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genotype = Genotype.random(4)
    genotype.to_json(tmp_path / "found.json")
    picture = tmp_path / "found.svg"
    assert main(["show", str(tmp_path / "found.json"), "--out", str(picture), "--channels", "4"]) == 0
    assert f"drawn to {picture}" in capsys.readouterr().out
    assert "upsampling cell" in picture.read_text()


def test_replaces_a_picture_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "it.png"
    picture.write_bytes(b"mine")
    arguments = ["show", "HNAS-A", "--channels", "4", "--out", str(picture)]
    assert main(arguments) == 2
    assert "exists already; give another name, or --force" in capsys.readouterr().err
    assert picture.read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere.json"],
            "nowhere.json: no such file; give a genotype's JSON file, a model file (.safetensors), a trial",
        ),
        (["broken.json"], "broken.json: not valid JSON"),
        (["unknown.json"], "unknown.json: normal.3[1].operation: 'conv' is unknown; valid are identity"),
        (["."], ".: is a directory"),
        (["HNAS-A", "--out", "nowhere/it.svg"], "nowhere: no such folder; create it"),
        (["HNAS-A", "--out", "it.gif"], "it.gif: can't draw to this kind of file"),
        (["HNAS-A", "--out", "folder.svg"], "folder.svg: is a folder; give the name of a file"),
        (["late.json", "--out", "it.svg", "--layers", "9"], "position: 10 lies behind the last of 9 layers"),
        (["HNAS-A", "--out", "it.svg", "--scale", "5"], "scale: 5 is not supported; valid are 2, 3, 4"),
        (["HNAS-A", "--out", "it.svg", "--channels", "0"], "channels: 0 is not valid"),
        (
            ["HNAS-A", "--layers", "many"],
            "argument --layers: invalid int value: 'many'; see hnas show --help",
        ),
        ([], "the following arguments are required: GENOTYPE"),
        (["HNAS-A", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    document = HNAS_A.to_dict()
    document["normal"]["3"][1]["operation"] = "conv"
    (tmp_path / "unknown.json").write_text(json.dumps(document))
    (tmp_path / "folder.svg").mkdir()
    HNAS_A.to_json(tmp_path / "late.json")
    before = sorted(tmp_path.rglob("*"))
    assert main(["show", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hnas show: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
