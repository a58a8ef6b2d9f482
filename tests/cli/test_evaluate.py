"""``hnas evaluate``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lively_networks import lively_network
from PIL import Image
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio

from hnas_nni import HNAS_A, HNAS_B, save
from hnas_nni.cli import main
from hnas_nni.cost import count
from hnas_nni.data import load_pairs

_PHOTOS = load_pairs("embedded:photos", 2, limit=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two model files, and a folder Set5 with parts of two photographs."""
    folder = tmp_path_factory.mktemp("evaluate")
    save(lively_network(replace(HNAS_A, position=2), 2, 3), folder / "local.safetensors")
    save(lively_network(replace(HNAS_B, position=2), 2, 3, seed=1), folder / "attention.safetensors")
    (folder / "Set5").mkdir()
    for pair in _PHOTOS:
        Image.fromarray(pair.hr[100:181, 100:250]).save(folder / "Set5" / f"{pair.name}.png")
    return folder


pytestmark = pytest.mark.usefixtures("in_folder")


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["evaluate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _psnr(sr: np.ndarray, hr: np.ndarray, border: int) -> float:
    first, second = (rgb2ycbcr(image)[border:-border, border:-border, 0] for image in (sr, hr))
    return peak_signal_noise_ratio(first, second, data_range=255)


def test_figures_are_those_of_the_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _json(capsys, "local.safetensors", "bicubic", "--data", "Set5", "--save-images", str(tmp_path))
    assert [model["model"] for model in shown["models"]] == ["local", "bicubic"]
    assert shown["scale"] == 2
    cost = count(replace(HNAS_A, position=2), 2, 4, 3)
    assert (shown["models"][0]["multiply_adds"], shown["models"][0]["parameters"]) == (cost.macs, cost.params)
    pairs = load_pairs("Set5", 2)
    for model in shown["models"]:
        (result,) = model["sets"]
        assert [image["image"] for image in result["images"]] == ["astronaut", "chelsea"]
        for pair, image in zip(pairs, result["images"], strict=True):
            sr = np.asarray(Image.open(tmp_path / "Set5" / model["model"] / f"{pair.name}.png"))
            assert image["psnr"] == pytest.approx(_psnr(sr, pair.hr, 2), abs=1e-6)
            assert image["hr_pixels"] == 80 * 150
            assert image["seconds"] > 0
        assert result["psnr"] == pytest.approx(np.mean([image["psnr"] for image in result["images"]]))
        seconds = sum(image["seconds"] for image in result["images"])
        assert result["seconds_per_megapixel"] == pytest.approx(seconds / (2 * 80 * 150 / 1e6))


def test_csv_markdown_and_table_agree_with_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--csv", str(tmp_path / "all.csv"), "--markdown", str(tmp_path / "table.md")]
    arguments = ["bicubic", "attention.safetensors", "--data", "Set5", "--published"]
    assert main(["evaluate", *arguments, *files, "--per-image"]) == 0
    printed = capsys.readouterr().out
    document = _json(capsys, *arguments)
    markdown = (tmp_path / "table.md").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert len(rows) == 2 * 3
    for model in document["models"]:
        (result,) = model["sets"]
        score = f"{result['psnr']:.2f}/{result['ssim']:.4f}"
        assert score in printed
        (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {model['model']} |")]
        assert f"| {score} |" in line
        mean = [row for row in rows if row["model"] == model["model"] and row["image"] == "(mean)"]
        assert float(mean[0]["psnr"]) == pytest.approx(result["psnr"], abs=1e-5)
        for image in result["images"]:
            assert f"{image['psnr']:.2f}/{image['ssim']:.4f}" in printed
    # Published: SelNet's row, and where it comes from.
    assert "| SelNet (published) | 225.7 | 974K | 37.89/0.9598 | - |" in markdown
    assert document["published"]["results"][5]["sets"] == {"Set5": {"psnr": 37.89, "ssim": 0.9598}}
    assert "arXiv 2003.04619" in markdown and "arXiv 2003.04619" in printed


def test_tiles_keep_the_figures_where_they_can(capsys: pytest.CaptureFixture[str]) -> None:
    models = ["local.safetensors", "attention.safetensors", "bicubic"]
    whole = _json(capsys, *models, "--data", "Set5", "--tile", "off")
    tiled = _json(capsys, *models, "--data", "Set5", "--tile", "20")
    automatic = _json(capsys, *models, "--data", "Set5")
    for index, same in enumerate((True, False, True)):
        first, second, third = (shown["models"][index] for shown in (whole, tiled, automatic))
        assert first["same_in_tiles"] is same
        assert not first["sets"][0]["images"][0]["tiled"]
        assert second["sets"][0]["images"][0]["tiled"]
        difference = abs(first["sets"][0]["psnr"] - second["sets"][0]["psnr"])
        assert (difference < 1e-4) is same
        assert third["sets"][0]["psnr"] == first["sets"][0]["psnr"]
    assert main(["evaluate", "attention.safetensors", "--data", "Set5", "--tile", "20"]) == 0
    assert "attention: 2 images were computed in tiles, over each of which its channel attention averages" in (
        capsys.readouterr().out
    )


def test_self_ensemble_changes_networks_only(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["local.safetensors", "bicubic", "--data", "Set5", "--limit", "1"]
    single, ensemble = _json(capsys, *arguments), _json(capsys, *arguments, "--self-ensemble")
    assert [model["self_ensemble"] for model in ensemble["models"]] == [True, False]
    # The mean of eight wrong images is less wrong than one of them.
    assert ensemble["models"][0]["sets"][0]["psnr"] > single["models"][0]["sets"][0]["psnr"]
    assert ensemble["models"][1]["sets"][0]["psnr"] == single["models"][1]["sets"][0]["psnr"]


def test_bicubic_at_the_other_scales_and_several_sets(capsys: pytest.CaptureFixture[str]) -> None:
    psnr = []
    for scale in ("2", "3", "4"):
        shown = _json(capsys, "bicubic", "--scale", scale, "--data", "Set5", "embedded:photos", "--limit", "1")
        assert [result["dataset"] for result in shown["models"][0]["sets"]] == ["Set5", "embedded:photos"]
        psnr.append(shown["models"][0]["sets"][0]["psnr"])
    assert psnr == sorted(psnr, reverse=True)


def test_an_image_that_comes_out_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (40, 40), (10, 200, 30)).save(tmp_path / "flat" / "it.png")
    shown = _json(capsys, "bicubic", "--scale", "2", "--data", str(tmp_path / "flat"))
    assert shown["models"][0]["sets"][0]["psnr"] is None
    assert shown["models"][0]["sets"][0]["ssim"] == 1


def test_replaces_files_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "bicubic", "--scale", "2", "--data", "Set5", "--save-images", str(tmp_path), "--quiet"]
    assert main(arguments) == 0
    before = (tmp_path / "Set5" / "bicubic" / "chelsea.png").stat().st_mtime_ns
    assert main(arguments) == 2
    assert "astronaut.png: exists already; give another folder, or --force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert (tmp_path / "Set5" / "bicubic" / "chelsea.png").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bicubic", "--data", "Set5"], "bicubic: of which scale? Give --scale 2, 3 or 4"),
        (["bicubic", "--scale", "5", "--data", "Set5"], "scale: 5 is not supported; valid are 2, 3, 4"),
        (["nowhere.safetensors", "--data", "Set5"], "nowhere.safetensors: no such model file"),
        (["broken.safetensors", "--data", "Set5"], "broken.safetensors: damaged or not a model of hnas-nni"),
        (["local.safetensors", "--scale", "3", "--data", "Set5"], "local.safetensors: upscales by 2, not by 3"),
        (["local.safetensors", "local.safetensors", "--data", "Set5"], "local.safetensors: given twice"),
        (["local.safetensors", "--data", "nowhere"], "nowhere: no such folder"),
        (["local.safetensors", "--data", "empty"], "empty: no images in this folder"),
        (["local.safetensors", "--data", "unreadable"], "unreadable/it.png: not an image that Pillow knows"),
        (["local.safetensors", "--data", "pairs"], "a_SRF_2_LR.png: is 10x10 pixels, but"),
        (
            ["local.safetensors", "--data", "Set5", "--scale", "2", "--device", "cuda:99"],
            "device cuda:99: ",
        ),
        (["local.safetensors", "--data", "other"], "other: has no image_SRF_2, only x3"),
        (["local.safetensors", "--data", "Set5", "copy/Set5"], "two sets are called Set5"),
        (["local.safetensors", "--data", "embedded:photos", "--published"], "but the sets are called embedded:photos"),
        (["bicubic", "--scale", "3", "--data", "Set5", "--published"], "published results are of x2 only"),
        (["local.safetensors", "--data", "Set5", "--json", "--csv", "-"], "only one of --csv, --json"),
        (["local.safetensors", "--data", "Set5", "--markdown", "it", "--csv", "it"], "it: given for two outputs"),
        (["local.safetensors", "--data", "Set5", "--csv", "nowhere/it.csv"], "nowhere: no such folder; create it"),
        (["local.safetensors", "--data", "Set5", "--csv", "broken.safetensors"], "exists already; give another"),
        (["local.safetensors", "--data", "Set5", "--save-images", "broken.safetensors"], "is a file; give the name"),
        (["local.safetensors", "--data", "Set5", "--tile", "0"], "argument --tile: '0' is not valid; give a number"),
        (["local.safetensors"], "the following arguments are required: --data"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (folder / "broken.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    for name in ("empty", "unreadable", "pairs/image_SRF_2", "other/image_SRF_3", "copy/Set5"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "unreadable" / "it.png").write_text("no image")
    for kind, side in (("HR", 60), ("LR", 10)):
        Image.new("RGB", (side, side)).save(folder / "pairs" / "image_SRF_2" / f"a_SRF_2_{kind}.png")
    before = sorted(folder.rglob("*"))
    assert main(["evaluate", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hnas evaluate: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
