"""``hnas data``: what its actions print, and how they fail."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serving
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import load_pairs
from hnas_nni.data.published_sets.download import DownloadError, download


def _set5() -> bytes:
    """An archive of the published shape: pairs at three scales, and results of other methods."""
    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for scale in (2, 3, 4):
            for index in range(1, 6):
                for kind, size in (("HR", 24 * scale), ("LR", 24), ("bicubic", 24 * scale)):
                    image = io.BytesIO()
                    Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)).save(image, "PNG")
                    path = f"Set5/image_SRF_{scale}/img_{index:03}_SRF_{scale}_{kind}.png"
                    file.writestr(path, image.getvalue())
    return buffer.getvalue()


SET5 = _set5()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving({"Set5.zip": SET5}) as running:
        yield running


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("hnas data: error: ")
    return printed.err


def test_lists_the_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    text = capsys.readouterr().out
    for name in ("DIV2K", "Set5", "Set14", "BSD100", "Urban100", "Manga109"):
        assert f"{name}: " in text
    assert "DIV2K_train_HR.zip (3.53 GB; SHA-256 published)" in text
    assert main(["data", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    train, valid = listed["DIV2K"]["archives"]
    assert (train["size"], valid["size"]) == (3530603713, 448993893)  # as TensorFlow Datasets knows them
    assert listed["Manga109"]["archives"] == []


def test_fetches_a_set_and_leaves_it_the_second_time(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "fetch", "set5", "--out", str(tmp_path), "--url", server.url("Set5.zip")]
    assert main(arguments) == 0
    checksum = hashlib.sha256(SET5).hexdigest()
    assert capsys.readouterr().out == f"{tmp_path / 'Set5'}: 30 images (archive's SHA-256 {checksum})\n"
    assert len(load_pairs(tmp_path / "Set5", 3)) == 5
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'Set5'}: is there already; --force fetches it anew\n"
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert len(server.requests) == 1
    assert main(["data", "check", str(tmp_path / "Set5"), "--scale", "4"]) == 0
    assert "5 of 5 usable at x4 (LR/HR pairs)" in capsys.readouterr().out


def test_goes_on_where_it_was_interrupted(server: FileServer, tmp_path: Path) -> None:
    server.drop_after = [50_000]
    with pytest.raises(DownloadError, match="50,000 bytes are kept"):
        download(server.url("Set5.zip"), tmp_path / "Set5.zip", retries=0, progress=False)
    assert main(["data", "fetch", "Set5", "--out", str(tmp_path), "--url", server.url("Set5.zip")]) == 0
    assert server.requests[1].range == "bytes=50000-"
    assert len(load_pairs(tmp_path / "Set5", 2)) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "Set6", "--out", "data"], "Set6: no such set; known are DIV2K, Set5, "),
        (["fetch", "Set5", "Manga109", "--out", "data"], "Manga109: needs a registration with its authors"),
        (
            ["fetch", "Set5", "Set14", "--out", "data", "--url", "http://host/a.zip"],
            "--url and --sha256 are for one set",
        ),
        (["fetch", "Set5", "--out", "data", "--url", "Set5.zip"], "Set5.zip: not an http or https address"),
        (["prepare", "nowhere", "--out", "pairs"], "nowhere: no such folder"),
        (
            ["prepare", "embedded:photos", "--out", "pairs", "--scale", "0"],
            "the scale must be a whole number of at least 1",
        ),
        (["check", "nowhere"], "nowhere: no such folder"),
        (["check", "."], "no images in this folder"),
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
    assert main(["data", *arguments]) == 2
    assert message in _error(capsys)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("arguments", "missing"), [([], "ACTION"), (["fetch", "Set5"], "--out"), (["prepare"], "FOLDER")]
)
def test_missing_arguments(arguments: list[str], missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert missing in printed


def test_prepares_what_can_be_and_names_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    originals, pairs = tmp_path / "originals", tmp_path / "pairs"
    originals.mkdir()
    for name in ("a", "b"):
        Image.effect_noise((70, 50), 80).save(originals / f"{name}.png")
    arguments = ["data", "prepare", str(originals), "--out", str(pairs), "--scale", "2", "4", "--workers", "1"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{pairs}: 4 pairs made, 0 were there already\n"
    (originals / "c.png").write_bytes(b"no image")
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == f"{pairs}: 0 pairs made, 4 were there already\n"
    assert printed.err == f"hnas data: error: {originals / 'c.png'}: not an image that Pillow knows\n"
    assert main(["data", "check", str(originals), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["usable"], found["pairs"]) == (3, 2, False)
    assert found["sizes"] == [{"height": 50, "width": 70, "images": 2}]
