"""Files that can't be written: what is said of them, when, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from full_disk import SMALL, no_room
from lively_networks import lively_network
from PIL import Image
from report_runs import write_run

from hnas_nni import HNAS_A, save
from hnas_nni.cli import main

_NOBODY = 65534


@pytest.fixture(autouse=True)
def _model_and_image(in_folder: None) -> None:
    save(lively_network(replace(HNAS_A, position=2), 2, 2), "model.safetensors")
    Path("set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("set/it.png")


@contextmanager
def _ordinary_user() -> Iterator[None]:
    """Be no superuser, who may write everywhere."""
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)


_WRITERS = [
    *((["show", "HNAS-A", "--channels", "4", "--out"], f"out/it.{ending}") for ending in ("svg", "png", "pdf")),
    *((["export", "model.safetensors", "--out"], f"out/it.{ending}") for ending in ("pt", "pt2", "onnx")),
    (["compare", "model.safetensors", "--data", "set", "--out"], "out/it.png"),
    (["report", "run", "--out"], "out/it.html"),
    (["evaluate", "model.safetensors", "--data", "set", "--save-images", "out", "--out"], "out/set/model/it.png"),
    *(
        (["upscale", "model.safetensors", "set/it.png", "--quality", "100", "--format", name], f"out/it.{ending}")
        for name, ending in (
            *(("png", "png"), ("jpeg", "jpg"), ("tiff", "tif")),
            *(("webp", "webp"), ("bmp", "bmp"), ("ppm", "ppm")),
        )
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "file"), _WRITERS, ids=[f"{command[0]} {file}" for command, file in _WRITERS])
def test_a_full_disk_names_the_file(command: list[str], file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    write_run(Path("run"))
    if command[0] == "upscale":
        command = [*command, "--out", "out"]
    elif command[0] == "evaluate":
        command = command[:-1]
    else:
        command = [*command, file]
    with no_room():
        assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.err == f"hnas {command[0]}: error: {file}: file too large\n"
    assert [path for path in Path("out").rglob("*") if path.is_file()] == []
    assert main(command) == 0  # with room, the same command writes the file
    assert Path(file).stat().st_size > SMALL


@pytest.mark.parametrize(
    "command",
    [
        ["show", "HNAS-A", "--channels", "4", "--out", "locked/it.svg"],
        ["best", "run", "--out", "locked/it.json"],
        ["report", "run", "--out", "locked/it.html"],
        ["evaluate", "nowhere.safetensors", "--data", "set", "--csv", "locked/it.csv"],
        ["evaluate", "nowhere.safetensors", "--data", "set", "--save-images", "locked/new"],
        ["compare", "nowhere.safetensors", "--data", "set", "--out", "locked/it.png"],
        ["upscale", "nowhere.safetensors", "set/it.png", "--out", "locked"],
        ["upscale", "nowhere.safetensors", "set/it.png", "--out", "locked/new/folder"],
        ["export", "nowhere.safetensors", "--out", "locked/it.pt"],
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Even before a model is looked for, which would be the next complaint of some of these commands."""
    write_run(Path("run"))
    Path.cwd().chmod(0o755)  # pytest keeps others out of it
    Path("locked").mkdir(mode=0o555)
    with _ordinary_user():
        assert main(command) == 2
    error = capsys.readouterr().err
    assert error == f"hnas {command[0]}: error: locked: nothing can be written to this folder; give another\n"


def test_names_as_long_as_the_file_system_takes(capsys: pytest.CaptureFixture[str]) -> None:
    longest = 251 * "n" + ".png"
    Path("set/it.png").rename(f"set/{longest}")
    assert main(["upscale", "bicubic", "--scale", "2", f"set/{longest}", "--out", "out", "-q"]) == 0
    assert [path.name for path in Path("out").iterdir()] == [longest]
    assert main(["show", "HNAS-A", "--channels", "4", "-q", "--out", f"out/n{longest}"]) == 2
    assert capsys.readouterr().err == f"hnas show: error: out/n{longest}: file name too long\n"


@pytest.mark.slow
def test_sigterm_leaves_nothing_half_written() -> None:
    pixels = np.zeros((3000, 3000, 3), np.uint8)
    Image.fromarray(pixels).save("set/large.png")
    upscale = [sys.executable, "-m", "hnas_nni.cli", "upscale", "model.safetensors", "set/large.png", "--out", "out"]
    process = subprocess.Popen(
        [*upscale, "--tile", "40", "--threads", "1", "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (Path("out").is_dir() and any(Path("out").iterdir())):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (143, "")
    assert list(Path("out").iterdir()) == []
