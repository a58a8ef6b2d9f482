"""File names that are no text: they are shown by their codes, and no work ends at them."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.cli import main

NAME = os.fsdecode(b"caf\xe9")
SHOWN = r"caf\udce9"


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(f"set/{NAME}.png")
    Image.fromarray(255 - pixels).save("set/other.png")


def test_evaluate_writes_what_it_measured() -> None:
    outputs = ["--csv", f"{NAME}.csv", "--markdown", f"{NAME}.md", "--save-images", f"{NAME}_sr"]
    assert main(["evaluate", "bicubic", "--scale", "2", "--data", "set", *outputs, "--quiet"]) == 0
    with open(f"{NAME}.csv", encoding="utf-8") as file:
        assert {row["image"] for row in csv.DictReader(file)} == {"(mean)", SHOWN, "other"}
    assert Path(f"{NAME}.md").read_text(encoding="utf-8")
    assert Image.open(f"{NAME}_sr/set/bicubic/{NAME}.png").size == (24, 24)


def test_printing_goes_on() -> None:
    """To a stream that takes text alone, as standard output is."""
    command = [sys.executable, "-m", "hnas_nni.cli", "evaluate", "bicubic", "--scale", "2", "--data", "set"]
    done = subprocess.run(
        [*command, "--per-image", "--save-images", f"{NAME}_sr"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"images written to {SHOWN}_sr" in done.stdout and f"{SHOWN}  " in done.stdout


@pytest.mark.parametrize("command", [["train", "HNAS-A", "--miniature"], ["search", "--miniature"]])
def test_a_folder_of_a_long_work_is_refused_before_it(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--data", "embedded:photos", "--out", NAME, "--quiet"]) == 2
    told = f"hnas {command[0]}: error: {SHOWN}: the name is not UTF-8, and TensorBoard writes to no such folder"
    assert capsys.readouterr().err.startswith(told)
    assert not os.path.exists(NAME)
