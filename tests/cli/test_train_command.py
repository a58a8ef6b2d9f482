"""``hnas train``: what it says, and what it refuses before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni import HNAS_A, Genotype, load, save
from hnas_nni.cli import main

TINY = ["--channels=1", "--layers=2", "--epochs=1", "--steps-per-epoch=1", "--batch=1", "--patch=24"]


@pytest.fixture
def genotype(tmp_path: Path) -> str:
    Genotype.random(1, layers=2).to_json(tmp_path / "genotype.json")
    return str(tmp_path / "genotype.json")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return folder


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, which must fail in one line; return the line."""
    assert main(["train", "--quiet", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    return line


def test_ends_with_figures_file_and_next_commands(
    genotype: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held_out = tmp_path / "held out"
    held_out.mkdir()
    (images / "1.png").rename(held_out / "1.png")
    assert main(["train", genotype, "--data", "images", "--validation", "held out", "--out", "runs/one", *TINY]) == 0
    output, errors = capsys.readouterr()
    assert errors.splitlines() == [f"training {genotype}: x2, C = 1, L = 2; 1 steps of 1 patches of 24 pixels"]
    first, figures, written, evaluate, upscale = output.splitlines()
    assert first.startswith("1 epochs in 0:00:0")
    assert "PSNR " in figures
    assert " dB, SSIM 0." in figures
    assert str(held_out) in figures
    assert written == "written to runs/one/best.safetensors; next:"
    assert evaluate == f"  hnas evaluate runs/one/best.safetensors --data '{held_out}'"
    assert upscale == "  hnas upscale runs/one/best.safetensors IMAGE... --out DIR"
    network = load("runs/one/best.safetensors")
    assert (network.channels, network.layers, network.scale) == (1, 2, 2)


def test_a_model_file_knows_its_sizes(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    genotype = Genotype.random(2, layers=3)
    save(genotype.build(scale=3, channels=2, layers=3), "it.safetensors")
    short = ["--epochs=1", "--steps-per-epoch=1", "--batch=1", "--patch=24", "--data", str(images), "-q"]
    for more, sizes in (([], (3, 2, 3)), (["--channels=1", "--scale=2"], (2, 1, 3))):
        out = f"run{len(more)}"
        assert main(["train", "it.safetensors", "--out", out, *short, *more]) == 0
        network = load(f"{out}/last.safetensors")
        assert (network.scale, network.channels, network.layers) == sizes
        assert network.genotype == genotype


def test_without_validation_images_the_last_network_is_the_result(
    genotype: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", genotype, "--data", str(images), "--out", str(tmp_path / "run"), *TINY]) == 0
    assert "not measured; give --validation DIR, or use hnas evaluate" in capsys.readouterr().out
    assert (tmp_path / "run" / "last.safetensors").is_file()
    assert not (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "/no/such"], "--data: /no/such: no such folder"),
        (["--validation", "/no/such"], "--validation: /no/such: no such folder"),
        (["--init", "/no/such"], "--init: /no/such: no such file"),
        (["--patch", "25"], "--patch: 25 is not valid; give a multiple of the scale 2"),
        (["--steps-per-epoch", "0"], "--steps-per-epoch: 0 is not valid; give at least 1"),
        (["--learning-rate", "0"], "--learning-rate: 0.0 is not valid"),
        (["--ema", "1"], "--ema: 1.0 is not valid"),
        (["--scale", "5", "--patch", "25"], "scale: 5 is not supported; valid are 2, 3, 4"),
        (["--precision", "8"], "argument --precision: invalid choice: '8'"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--devices", "none"], "--devices none: can't be used here"),
        (["--device", "abacus"], "argument --device: invalid choice: 'abacus'"),
        (["--threads", "-1"], "--threads: -1 is not valid; give at least 0"),
        (["--patch", "64"], "48x40 pixels are too few; at least 64x64 are needed; mend or remove it, or give --skip-"),
        (["--patch", "64", "--skip-unusable"], "none of the 2 images can be used"),
        (["--seed", "-1"], "--seed: -1 is not valid; give a whole number from 0"),
        (["--seed", str(2**64)], f"--seed: {2**64} is not valid"),
        (["--device", "cpu", "--devices", "3", "--batch", "4"], "--batch: 4 can't be divided among 3 devices"),
    ],
)
def test_refuses_in_one_line_and_writes_nothing(
    options: list[str],
    message: str,
    genotype: str,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = [option for option in TINY if option.split("=")[0] not in options]
    arguments = [genotype, "--data", str(images), "--out", str(tmp_path / "run"), *kept, *options]
    if "--data" in options:
        arguments[1:3] = []
    assert message in refused(arguments, capsys)
    assert not (tmp_path / "run").exists()


def test_refuses_bad_images(genotype: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "run"), *TINY]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no images in this folder" in refused([genotype, "--data", str(images), str(empty), *out], capsys)
    (empty / "a.png").write_bytes((images / "0.png").read_bytes()[:200])
    message = "a.png: cannot be read as an image: image file is truncated; mend or remove it, or give --skip-unusable"
    assert message in refused([genotype, "--data", str(images), str(empty), *out], capsys)
    arguments = [genotype, "--data", str(empty), "--skip-unusable", *out]
    assert "none of the 1 images can be used" in refused(arguments, capsys)
    (empty / "a.png").write_bytes((images / "0.png").read_bytes())
    arguments = [genotype, "--data", str(images), "--validation", str(empty), *out]
    assert "0: the training image is the validation image a; remove one of the two" in refused(arguments, capsys)
    pairs = tmp_path / "image_SRF_2"
    pairs.mkdir()
    for kind in ("HR", "LR"):
        (pairs / f"a_SRF_2_{kind}.png").write_bytes((images / "0.png").read_bytes())
    assert "which asks for 24x20 at x2" in refused([genotype, "--data", str(pairs), *out], capsys)
    assert not (tmp_path / "run").exists()


def test_leaves_bad_images_out_if_told_so(
    genotype: str, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"no image")
    (bad / "b.png").write_bytes((images / "0.png").read_bytes())
    arguments = [genotype, "--data", str(bad), "--out", str(tmp_path / "run"), "--skip-unusable", *TINY]
    assert main(["train", *arguments]) == 0
    assert any("left out" in record.getMessage() and "a.png" in record.getMessage() for record in caplog.records)


def test_refuses_an_architecture_of_another_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    HNAS_A.to_json(tmp_path / "a.json")
    assert "position" in refused([str(tmp_path / "a.json"), "--out", str(tmp_path / "run"), *TINY], capsys)
    assert not (tmp_path / "run").exists()


def test_goes_on_with_the_same_settings_only(
    genotype: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [genotype, "--data", str(images), "--out", str(tmp_path / "run"), *TINY]
    assert main(["train", *arguments]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")}
    capsys.readouterr()
    line = refused(["--batch=2" if word == "--batch=1" else word for word in arguments], capsys)
    assert line.endswith("run: was made with --batch 1; give the same, another --out, or --force to start over")
    Genotype.random(2, layers=2).to_json(genotype)
    assert "was made with another architecture" in refused(arguments, capsys)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    line = refused([genotype, "--out", str(tmp_path / "other"), *TINY, "--force"], capsys)
    assert "other: exists and is not a folder of hnas train" in line
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]
    assert {path: path.read_bytes() for path in (tmp_path / "run").glob("*.*")} == before
