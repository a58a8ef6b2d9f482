"""What a command is given that is no file of ours, or was made to do harm: one short line, and nothing waited for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hnas_nni import HNAS_A
from hnas_nni.cli import main
from hnas_nni.foreign_text import LONGEST_LINE, read_text


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line in which a command refuses what it is given."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("\n") and printed.err.count("\n") == 1
    line = printed.err[:-1]
    assert len(line) <= LONGEST_LINE and line.isprintable()
    return line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": ' + 5000 * "[" + 5000 * "]" + "}", "not valid JSON: nested too deeply"),
        ('{"format": ' + 900 * "[" + 900 * "]" + "}", "format: [[[...]]] is not valid"),
        (json.dumps({"format": 100_000 * "x"}), "is not valid; expected"),
        (json.dumps(HNAS_A.to_dict() | {"space": []}), "space: [] is unknown"),
        (json.dumps(HNAS_A.to_dict() | {"\x1b[2J\n" + 1000 * "y": 1}), r"it.json: \x1b[2J\ny"),
        (json.dumps(HNAS_A.to_dict() | {"width": 10**9}), "channels: 1000000000 is not valid; give an integer from 1"),
    ],
)
def test_genotypes(tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "it.json").write_text(text)
    assert message in refusal(["show", str(tmp_path / "it.json")], capsys)


@pytest.mark.parametrize("command", [["show"], ["upscale", "bicubic", "--scale", "2", "--out", "out"]])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(
    command: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    name = "pipe" if kind == "pipe" else "/dev/zero"
    assert f"{name}: not a regular file, but a device or a pipe; give" in refusal([*command, name], capsys)


def test_text_is_of_a_bounded_size(tmp_path: Path) -> None:
    with open(tmp_path / "it", "wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    with pytest.raises(ValueError, match="it: larger than 1 MiB"):
        read_text(tmp_path / "it", 2**20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "circle"], "circle: no such file"),
        (["upscale", "bicubic", "photos", "--scale", "2", "--out", "out"], "photos: no pictures in this folder"),
        (["evaluate", "circle/best.safetensors", "--data", "photos"], "circle/best.safetensors: no such model file"),
        (["train", "HNAS-A", "--data", "circle", "--out", "out"], "circle: no such folder"),
        (["train", "HNAS-A", "--data", "photos", "--init", "circle", "--out", "out"], "circle"),
        (["best", "circle"], "circle"),
        (["report", "circle"], "circle"),
    ],
)
def test_links_in_a_circle(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "it.png").symlink_to("it.png")
    assert message in refusal(arguments, capsys)
