"""The example scripts run as a reader would run them, with smaller numbers, and give what they say."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nni_experiment import free_port
from PIL import Image
from repository import REPOSITORY

from hnas_nni import Genotype, GenotypeError, load, upscale
from hnas_nni.data import bicubic_downsample, bicubic_upsample, read_image
from hnas_nni.metrics import psnr_y
from hnas_nni.searches.search_folder import SearchFolder

EXAMPLES = REPOSITORY / "examples"
_SLOW_MANAGER = "Create experiment failed"
"""NNI gives the web server of its manager some seconds to start, which is too short on a busy machine."""
_ATTEMPTS = 5
SCRIPTS = ("search_with_python.py", "own_operations.py", "own_data.py", "own_reward.py")


def run(home: Path, script: str, *options: object, **variables: str) -> str:
    """Run an example from the repository's root, away from the user's own experiments; return what it prints."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **variables}
    command = [sys.executable, f"examples/{script}", *map(str, options)]
    for _ in range(_ATTEMPTS):
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
        if _SLOW_MANAGER not in done.stdout:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Does as :func:`run` in this process, which has loaded torch and NNI already."""

    def run_here(script: str, *options: object) -> str:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(REPOSITORY)
        monkeypatch.setattr(sys, "argv", [f"examples/{script}", *map(str, options)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run_here


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_tells_the_command_of_the_readme(script: str, tmp_path: Path) -> None:
    shown = run(tmp_path, script, "--help")
    commands = re.findall(rf"^\| `(python examples/{script} .*?)` \|", _readme(), re.MULTILINE)
    assert commands and all(command in shown.splitlines() for command in (f"    {command}" for command in commands))
    assert "--out DIR" in shown


def test_the_readme_lists_every_example() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".yml")}
    assert {name for name in files if name not in _readme()} == set()


@pytest.mark.nni
def test_search_with_python_multi_trial(tmp_path: Path) -> None:
    """Two trials, processes under NNI's manager."""
    options = ("--trials", 2, "--steps", 2, "--layers", 2, "--channels", 2, "--port", free_port())
    shown = run(tmp_path, "search_with_python.py", "--out", tmp_path / "found", *options)
    rewards = [float(reward) for reward in re.findall(r"^\d\. reward (\S+), upsampling at block [12]$", shown, re.M)]
    # On a busy machine NNI may call the experiment done before it hands the last result on.
    assert 1 <= len(rewards) <= 2 and rewards == sorted(rewards, reverse=True)
    _check_winner(tmp_path / "found", layers=2)


@pytest.mark.slow
def test_search_with_python_one_shot(tmp_path: Path, run_here: Callable[..., str]) -> None:
    options = ("--strategy", "one-shot", "--epochs", 2, "--steps", 2, "--layers", 2, "--channels", 2)
    shown = run_here("search_with_python.py", "--out", tmp_path / "found", *options)
    rewards = [float(reward) for reward in re.findall(r"^\d\. reward (\S+), upsampling at block [12]$", shown, re.M)]
    assert len(rewards) == 3 and rewards == sorted(rewards, reverse=True)
    _check_winner(tmp_path / "found", layers=2)


@pytest.mark.slow
def test_own_operations(tmp_path: Path) -> None:
    options = ("--epochs", 1, "--steps", 2, "--candidates", 4, "--layers", 2, "--channels", 2)
    shown = run(tmp_path, "own_operations.py", "--out", tmp_path / "found", *options)
    assert re.search(r"^candidates of the normal cell: identity, .*, rcab, convnext$", shown, re.M)
    assert re.search(r"^candidates of the upsampling cell: .*, subpixel, resize_conv$", shown, re.M)
    genotypes = sorted((tmp_path / "found" / "genotypes").glob("*.json"))
    texts = [path.read_text() for path in genotypes]
    for name in ("convnext", "resize_conv"):
        (uses,) = re.findall(rf"^  {name}: (\d+) ", shown, re.M)
        assert int(uses) == sum(text.count(f'"{name}"') for text in texts) > 0
    # Another process knows the operations by the variable, and only so.
    owner = next(path for path, text in zip(genotypes, texts, strict=True) if '"convnext"' in text)
    with pytest.raises(GenotypeError, match=r"unknown; valid are identity"):
        Genotype.from_json(owner)
    command = [sys.executable, "-m", "hnas_nni.cli", "show", str(owner), "--layers", "2", "--channels", "2"]
    path = os.pathsep.join([str(EXAMPLES), str(REPOSITORY)])
    variables = {**os.environ, "HNAS_OPERATIONS": "convnext_operation", "PYTHONPATH": path}
    assert "ConvNeXt(node" in subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_own_data(tmp_path: Path, run_here: Callable[..., str]) -> None:
    """The printed PSNRs are those of bicubic and of the network that was trained, on images it did not learn from."""
    out = tmp_path / "mine"
    options = ("--epochs", 1, "--training-epochs", 1, "--training-steps", 2, "--steps", 2)
    shown = run_here("own_data.py", "--out", out, *options, "--layers", 2, "--channels", 2)
    counts = [int(number) for number in re.findall(r"(\d+) (?:weights|controller|validation)", shown)]
    others = {path.stem: read_image(path) for path in (out / "others").iterdir()}
    assert counts[2] == len(others) and sum(counts[:2]) <= len(list((out / "images").iterdir()))
    winner = SearchFolder(out / "search").architectures()[0].genotype
    network = load(next((out / "training").glob("*.safetensors")))
    assert network.genotype == winner
    figures = dict(re.findall(rf"^{len(others)} other images, (network|bicubic): (\S+) dB", shown, re.M))
    for name, enlarged in (
        ("network", lambda low: upscale(low, network)),
        ("bicubic", lambda low: bicubic_upsample(low, 2)),
    ):
        psnrs = [psnr_y(enlarged(bicubic_downsample(image, 2)), image, 2) for image in others.values()]
        assert float(figures[name]) == pytest.approx(sum(psnrs) / len(psnrs), abs=0.006)
    (written,) = re.findall(r"written: (\S+)_network.png", shown)
    low = bicubic_downsample(others[Path(written).name], 2)
    assert (read_image(f"{written}_network.png") == upscale(low, network)).all()


def test_own_data_takes_a_folder(tmp_path: Path) -> None:
    """Bad data is named before anything is searched."""
    folder = tmp_path / "few"
    folder.mkdir()
    Image.new("RGB", (64, 64), "red").save(folder / "one.png")
    others = tmp_path / "others"
    others.mkdir()
    Image.new("RGB", (64, 64), "blue").save(others / "two.png")
    command = [sys.executable, "examples/own_data.py", "--data", str(folder), "--out", str(tmp_path / "mine")]
    for more, message in (
        ([], "--data, --validation: give both, folders of different images"),
        (
            ["--validation", str(others)],
            "too few images to split; at least 2 images beside a validation set are needed",
        ),
    ):
        done = subprocess.run([*command, *more], cwd=REPOSITORY, capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.strip().endswith(message)
    assert not (tmp_path / "mine").exists()


@pytest.mark.slow
def test_own_reward(tmp_path: Path, run_here: Callable[..., str]) -> None:
    out = tmp_path / "found"
    options = ("--trials", 2, "--steps", 2, "--layers", 2, "--channels", 2, "--side", 24, "--repetitions", 3)
    shown = run_here("own_reward.py", "--out", out, *options, "--price", 0.5)
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    assert len(trials) == 2
    for trial in trials:
        assert trial["ms"] > 0
        assert trial["default"] == pytest.approx(trial["psnr"] - 0.5 * trial["ms"])
        assert f"{trial['default']:8.3f} {trial['psnr']:10.3f} {trial['ms']:8.2f}" in shown
    best = max(trials, key=lambda trial: trial["default"])
    assert str(Genotype.from_json(out / "winner.json")) == best["genotype"]


def test_time_is_measured_properly() -> None:
    """The median, so that a slow first pass and a single hiccup do not count."""
    import time

    sys.path.insert(0, str(EXAMPLES))
    try:
        from own_reward import milliseconds  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(EXAMPLES))
    passes = 0

    def network(image: object) -> None:
        nonlocal passes
        passes += 1
        time.sleep(0.5 if passes in (1, 6) else 0.02)

    assert 20 <= milliseconds(network, 8, 9) < 500
    assert passes == 3 + 9


def _check_winner(folder: Path, layers: int) -> None:
    Genotype.from_json(folder / "winner.json").check_layers(layers)
    assert (folder / "winner.svg").read_text().lstrip().startswith("<?xml")


def _readme() -> str:
    return (EXAMPLES / "README.md").read_text(encoding="utf-8")
