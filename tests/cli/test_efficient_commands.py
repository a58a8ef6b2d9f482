"""The commands with an architecture of the efficient space, whose sizes are its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from options import with_options
from PIL import Image

from hnas_nni import Cell, Edge, Genotype, load, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cli import main
from hnas_nni.metrics import psnr_y

GENOTYPE = Genotype(
    normal=Cell((Edge("collapsible_3x3", 1), Edge("skip", 0), Edge("conv_3x3", 2)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=2,
    depth=2,
    width=6,
    space=EFFICIENT,
)
TINY = ["--epochs=2", "--steps-per-epoch=2", "--batch=2", "--patch=16", "--device=cpu", "-q"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A genotype, a model of it and one photograph."""
    GENOTYPE.to_json(tmp_path / "it.json")
    torch.manual_seed(0)
    save(GENOTYPE.build(2), tmp_path / "it.safetensors")
    (tmp_path / "photos_of_one").mkdir()
    Image.fromarray(skimage.data.cat()[100:148, 200:260]).save(tmp_path / "photos_of_one" / "cat.png")
    return tmp_path


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize("name", ["it.json", "it.safetensors"])
def test_show(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", name, "--out", "it.svg"]) == 0
    out = capsys.readouterr().out
    assert "  output = add(nodes 3, 4)" in out and "  stem - n - [UP]\n" in out
    assert "cost (x2, C = 6, L = 2, input 3x480x480)" in out
    # By hand: weights of the stem, two 3x3 convolutions, a 3x3 and a 1x1 to 4 channels; biases, and a PReLU each.
    weights = 9 * (6 + 2 * 6 * 6 + 6 * 4) + 6 * 4
    assert f"  parameters     {weights + 3 * (6 + 6) + 2 * 4:,}" in out
    assert "0: stem" in Path("it.svg").read_text(encoding="utf-8")
    assert main(["show", name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["channels"], shown["layers"], shown["scale"]) == (6, 2, 2)
    assert shown["multiply_adds"] == weights * 480 * 480
    assert Genotype.from_dict(shown["genotype"]) == GENOTYPE


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize("command", [["show"], ["train", "--out", "run", *TINY]])
@pytest.mark.parametrize(("option", "own"), [("--layers", 2), ("--channels", 6)])
def test_other_sizes_are_refused(command: list[str], option: str, own: int, capsys: pytest.CaptureFixture[str]) -> None:
    name, *rest = command
    assert main([name, "it.json", *rest, option, "9"]) == 2
    error = capsys.readouterr().err
    assert f"{option}: the architecture itself has {option[2:]} {own}; leave the option out" in error
    assert len(error.splitlines()) == 1
    assert not Path("run").exists()
    assert main(["show", "it.json", option, str(own)]) == 0


@pytest.mark.usefixtures("in_folder")
def test_upscale_and_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    network = load("it.safetensors")
    assert main(["upscale", "it.safetensors", "photos_of_one/cat.png", "--out", "up", "--device", "cpu", "-q"]) == 0
    lr = torch.from_numpy(np.array(Image.open("photos_of_one/cat.png"))).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = (network(lr)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    found = np.array(Image.open("up/cat.png")).astype(int)
    assert found.shape == (96, 120, 3)
    assert np.abs(found - expected).max() <= 1
    capsys.readouterr()
    command = ["evaluate", "it.safetensors", "--data", "photos_of_one", "--save-images", "sr", "--device=cpu", "--json"]
    assert main([*command, "-q"]) == 0
    printed = json.loads(capsys.readouterr().out)
    sr = np.array(Image.open("sr/photos_of_one/it/cat.png"))
    text = json.dumps(printed)
    assert f"{psnr_y(sr, np.array(Image.open('photos_of_one/cat.png')), 2):.3f}"[:5] in text


@pytest.mark.slow
@pytest.mark.usefixtures("in_folder")
def test_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "it.safetensors", "--out", "it.pt2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["max_abs_difference"] <= 1e-4


@pytest.mark.slow
@pytest.mark.usefixtures("in_folder")
def test_train() -> None:
    Path("others").mkdir()
    Image.fromarray(skimage.data.astronaut()[:60, 200:260]).save("others/astronaut.png")
    data = ["--data", "others", "--validation", "photos_of_one"]
    assert main(["train", "it.json", *data, "--out", "run", *TINY]) == 0
    settings = json.loads(Path("run/settings.json").read_text())["settings"]
    assert (settings["channels"], settings["layers"]) == (6, 2)
    for name in ("best", "last"):
        network = load(f"run/{name}.safetensors")
        assert network.genotype == GENOTYPE
        assert list(network.state_dict()) == list(GENOTYPE.build(2).state_dict())
    # What does not depend on the scale is taken over.
    more = ["--scale=3", "--patch=15", "--init", "run/last.safetensors", "--out", "run3"]
    assert main(["train", "it.json", *data, *with_options(TINY, *more)]) == 0
    assert load("run3/last.safetensors").scale == 3
