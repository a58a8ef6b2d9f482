"""``hnas compare``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lively_networks import lively_network
from options import with_options
from PIL import Image

from hnas_nni import HNAS_A, HNAS_B, load, save, upscale
from hnas_nni.cli import main
from hnas_nni.data import load_pairs
from hnas_nni.inference.comparison import Crop, compare
from hnas_nni.metrics import psnr_y
from hnas_nni.report.comparison_picture import draw_comparisons


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and a folder with parts of four photographs."""
    folder = tmp_path_factory.mktemp("compare")
    save(lively_network(replace(HNAS_A, position=2), 2, 2), folder / "first.safetensors")
    save(lively_network(replace(HNAS_B, position=1), 2, 2), folder / "second.safetensors")
    (folder / "set").mkdir()
    for name, pair in zip("abcd", load_pairs("embedded:photos", 2, limit=4), strict=True):
        Image.fromarray(pair.hr[:90, :120]).save(folder / "set" / f"{name}.png")
    return folder


pytestmark = pytest.mark.usefixtures("in_folder")


def _expected(names: str, crops: list[Crop | None], models: tuple[str, ...] = ("first", "second")) -> np.ndarray:
    networks = {name: load(f"{name}.safetensors") for name in models}
    pairs = {pair.name: pair for pair in load_pairs("set", 2)}
    comparisons = []
    for name, crop in zip(names, crops, strict=True):
        results = {model: upscale(pairs[name].lr, network, tile=None) for model, network in networks.items()}
        comparisons.append(compare(pairs[name], results, crop=crop))
    return np.asarray(draw_comparisons(comparisons))


@pytest.mark.slow
def test_the_first_three_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "it.png"
    assert main(["compare", "first.safetensors", "second.safetensors", "--data", "set", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"drawn to {out}: a, b, c\n"
    np.testing.assert_array_equal(np.asarray(Image.open(out)), _expected("abc", [None] * 3))


def test_chosen_images_and_details(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "first.safetensors", "bicubic", "--data", "set", "--quiet", "--out"]
    crops = ["--crop", "d=10,20,40,30", "--crop", "5,6,32,32"]
    assert main([*arguments, str(tmp_path / "it.png"), "--images", "d", "b", *crops]) == 0
    expected = _expected("db", [Crop(10, 20, 40, 30), Crop(5, 6, 32, 32)], ("first",))
    # Bicubic stands beside once, whether it is asked for or not.
    drawn = np.asarray(Image.open(tmp_path / "it.png"))
    np.testing.assert_array_equal(drawn, expected)
    assert main([*arguments, str(tmp_path / "one.png"), *crops[:2]]) == 0
    one = np.asarray(Image.open(tmp_path / "one.png"))
    np.testing.assert_array_equal(one, expected[: one.shape[0], : one.shape[1]])
    assert capsys.readouterr().out == ""


def test_models_are_called_as_the_user_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "it.png"
    (tmp_path / "long run").mkdir()
    trained = tmp_path / "long run" / "best.safetensors"
    trained.write_bytes(Path("second.safetensors").read_bytes())
    models = ["mini=first.safetensors", str(trained)]
    arguments = [*models, "--data", "set", "--images", "b", "--crop", "3,4,32,24", "--out", str(out)]
    assert main(["compare", *arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["file"] == str(out)
    (image,) = shown["images"]
    assert (image["image"], image["scale"]) == ("b", 2)
    assert image["crop"] == {"x": 3, "y": 4, "width": 32, "height": 24}
    assert [model["model"] for model in image["models"]] == ["bicubic", "mini", "long run"]
    pair = {pair.name: pair for pair in load_pairs("set", 2)}["b"]
    results = {"mini": upscale(pair.lr, load("first.safetensors")), "long run": upscale(pair.lr, load(trained))}
    drawn = draw_comparisons([compare(pair, results, crop=Crop(3, 4, 32, 24))])
    np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(drawn))
    for model in image["models"][1:]:
        assert model["psnr"] == pytest.approx(psnr_y(results[model["model"]], pair.hr, 2), abs=0.01)
    assert main(["evaluate", *models, "--data", "set", "--limit", "1", "--json", "-q"]) == 0
    evaluated = json.loads(capsys.readouterr().out)["models"]
    assert [model["model"] for model in evaluated] == ["mini", "long run"]


def test_a_detail_is_cut_to_a_small_image_unless_its_size_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small").mkdir()
    Image.fromarray(load_pairs("embedded:photos", 2, limit=1)[0].hr[:50, :70]).save(tmp_path / "small" / "it.png")
    arguments = ["compare", "first.safetensors", "--data", str(tmp_path / "small"), "--json", "--force"]
    for more, sides in (([], (64, 50)), (["--crop-size", "50"], (50, 50))):
        assert main([*arguments, "--out", str(tmp_path / "it.png"), *more]) == 0
        crop = json.loads(capsys.readouterr().out)["images"][0]["crop"]
        assert (crop["width"], crop["height"]) == sides


def test_replaces_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "it.png"
    out.write_bytes(b"mine")
    arguments = ["compare", "bicubic", "--scale", "3", "--data", "set", "--images", "a", "--out", str(out)]
    assert main(arguments) == 2
    assert "exists already; give another name, or --force" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"
    assert main([*arguments, "--force"]) == 0
    assert Image.open(out).format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "e"], "e: no such image in set; it has a, b, c, d"),
        (["--crop", "e=0,0,9,9"], "e: no such image in set; it has a, b, c, d"),
        (["--images", "a", "--crop", "b=0,0,9,9"], "--crop: b is not one of --images"),
        (["--crop", "0,0,9,9", "--crop", "1,1,9,9"], "--crop: given twice for all images"),
        (["--crop", "0,0,9"], "argument --crop: '0,0,9' is not valid; give X,Y,WIDTH,HEIGHT"),
        (["--crop", "a=100,0,30,9"], "a: crop 100,0,30,9 (x,y,width,height) does not lie within 120x90 pixels"),
        (["--crop-size", "0"], "--crop-size: 0 is not valid"),
        (["--crop-size", "91"], "--crop-size: 91 is more than a has, which is 120x90 pixels; give at most 90"),
        (["HR=second.safetensors"], "HR=second.safetensors: HR is what stands beside the models"),
        (["x=second.safetensors", "x=third.safetensors"], "x: the name of two models; give different ones"),
        (["again=first.safetensors"], "first.safetensors: given twice; give each model once"),
        (["x=nowhere.safetensors"], "nowhere.safetensors: no such model file"),
        (["--scale", "3"], "first.safetensors: upscales by 2, not by 3"),
        (["--out", "it.svg"], "it.svg: can't draw to this kind of file; give a name that ends in .png"),
        (["--out", "nowhere/it.png"], "nowhere: no such folder"),
        (["--data", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = sorted(folder.rglob("*"))
    others = with_options(["--data", "set", "--out", "it.png"], *arguments)[: -len(arguments)]
    assert main(["compare", *others, "first.safetensors", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hnas compare: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
