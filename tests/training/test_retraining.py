"""What a training computes, writes, and goes on from."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rounding import same_psnr, same_ssim
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tiny_training import GENOTYPE, TINY, train_by_hand

from hnas_nni import HNAS_A, Genotype, load, save
from hnas_nni.cli import main
from hnas_nni.data import load_splits
from hnas_nni.metrics import psnr_y, ssim_y
from hnas_nni.network.first_weights import interpolate
from hnas_nni.training import TrainingSettings, train

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def rows(folder: Path) -> list[dict[str, str]]:
    path = folder / "epochs.csv"
    return list(csv.DictReader(path.open())) if path.exists() else []


def command(folder: Path, *options: str, **settings: Any) -> list[str]:
    GENOTYPE.to_json(folder.parent / "genotype.json")
    given = {**TINY, **settings}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    python = [sys.executable, "-m", "hnas_nni.cli", "train", str(folder.parent / "genotype.json")]
    return [*python, "--out", str(folder), "--device", "cpu", *arguments, *options]


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], **tolerance: float) -> None:
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], **(tolerance or {"rtol": 1e-5, "atol": 1e-7}), msg=name)


@pytest.mark.slow
def test_lightning_does_the_step_that_searches_do(tiny: TrainingSettings, tmp_path: Path) -> None:
    train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu")
    weights = train_by_hand(tiny)
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), weights[-1])
    # The comparison can tell one step from the next.
    with pytest.raises(AssertionError):
        assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), weights[-2])


@pytest.mark.slow
def test_figures_are_those_of_the_written_network_on_whole_images(tiny: TrainingSettings, tmp_path: Path) -> None:
    settings = replace(tiny, validation=None, epochs=3, validate_every=2, learning_rate=5e-3)
    training = train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu")
    assert training.weights == tmp_path / "run" / "best.safetensors"
    measured = [float(row["validation_psnr"]) for row in rows(tmp_path / "run")]
    assert [value == value for value in measured] == [False, True, True]  # the last epoch always
    best = training.best
    assert best is not None
    assert best["validation_psnr"] == max(measured[1:])
    network = load(training.weights)
    psnrs, ssims = [], []
    for pair in load_splits("embedded:photos", 2).validation:
        with torch.no_grad():
            sr = network(torch.from_numpy(pair.lr).permute(2, 0, 1)[None] / 255)[0].clamp(0, 1)
        image = (sr * 255).round().byte().permute(1, 2, 0).numpy()
        psnrs.append(psnr_y(image, pair.hr, 2))
        ssims.append(ssim_y(image, pair.hr, 2))
    assert best["validation_psnr"] == same_psnr(sum(psnrs) / 2)
    assert best["validation_ssim"] == same_ssim(sum(ssims) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("first_weights", ["interpolation", "torch"])
def test_first_weights(first_weights: str, tiny: TrainingSettings, tmp_path: Path) -> None:
    """By default a training starts from an interpolation; a step that changes nothing shows what it started from."""
    settings = replace(tiny, channels=6, learning_rate=1e-12, epochs=1, steps_per_epoch=1)
    assert settings.first_weights == "interpolation"
    train(GENOTYPE, replace(settings, first_weights=first_weights), tmp_path / "run", accelerator="cpu")
    torch.manual_seed(settings.seed)
    network = GENOTYPE.build(settings.scale, settings.channels, settings.layers)
    if first_weights == "interpolation":
        interpolate(network)
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), network.state_dict())


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    settings = TrainingSettings(
        **{**TINY, "channels": 4, "epochs": 3, "steps_per_epoch": 60, "batch": 4, "learning_rate": 3e-3}
    )
    training = train(replace(HNAS_A, position=3), settings, tmp_path / "run", accelerator="cpu")
    first, *_, last = training.history
    assert last["loss"] < first["loss"] / 1.5
    assert last["validation_psnr"] > first["validation_psnr"] + 2


@pytest.mark.slow
def test_average_of_the_weights(tiny: TrainingSettings, tmp_path: Path) -> None:
    settings = replace(tiny, ema=0.6)
    train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu")
    average, *later = train_by_hand(settings)
    for weights in later:
        average = {name: 0.6 * average[name] + 0.4 * weights[name] for name in average}
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), average)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads as the processes of :data:`ENVIRONMENT`: sums depend on how they are divided."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_killed_training_goes_on_exactly(tmp_path: Path, small_image: str, capfd: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"epochs": 8, "ema": 0.9, "validation": small_image}
    killed = tmp_path / "killed"
    with subprocess.Popen(command(killed, **settings), env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        while len(rows(killed)) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    done = len(rows(killed))
    assert 2 <= done < 8
    capfd.readouterr()
    assert main(command(killed, "--json", **settings)[3:]) == 0
    output, errors = capfd.readouterr()
    assert errors == ""  # neither advice of Lightning nor a bar where there is no terminal
    whole = train(GENOTYPE, TrainingSettings(**{**TINY, **settings}), tmp_path / "whole", accelerator="cpu")
    printed = json.loads(output)
    assert whole.best is not None
    assert printed["epochs"] == 8
    assert printed["validation_psnr"] == whole.best["validation_psnr"]
    for name in ("best.safetensors", "last.safetensors"):
        assert_same(load(killed / name).state_dict(), load(tmp_path / "whole" / name).state_dict(), rtol=0, atol=0)
    for row, expected in zip(rows(killed), rows(tmp_path / "whole"), strict=True):
        assert float(row.pop("seconds")) > 0
        expected.pop("seconds")
        assert row == expected
    seconds = [float(row["seconds"]) for row in rows(killed)]
    assert seconds == sorted(seconds)  # over both sessions


@pytest.mark.slow
def test_finished_training_is_left_as_it_is(tiny: TrainingSettings, tmp_path: Path) -> None:
    first = train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("[!.]*")}
    again = train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu")
    assert again == first
    for path, changed in times.items():
        assert path.stat().st_mtime_ns == changed


@pytest.mark.slow
def test_force_starts_over(tiny: TrainingSettings, tmp_path: Path) -> None:
    train(GENOTYPE, replace(tiny, seed=1, epochs=1), tmp_path / "run", accelerator="cpu")
    train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu", force=True)
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), train_by_hand(tiny)[-1])
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]["seed"] == TINY["seed"]


@pytest.mark.slow
def test_weights_need_neither_lightning_nor_nni(tiny: TrainingSettings, tmp_path: Path) -> None:
    training = train(GENOTYPE, replace(tiny, epochs=1), tmp_path / "run", accelerator="cpu")
    code = (
        "import sys\n"
        "for name in ('pytorch_lightning', 'lightning_fabric', 'lightning', 'nni'): sys.modules[name] = None\n"
        "import torch, hnas_nni\n"
        "network = hnas_nni.load(sys.argv[1])\n"
        "print(*network(torch.zeros(1, 3, 8, 9)).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(training.weights)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "3", "16", "18"], done.stderr


@pytest.mark.slow
def test_start_from_a_model(tiny: TrainingSettings, tmp_path: Path) -> None:
    """At a vanishing learning rate the weights stay what they were given; at another scale, those that fit."""
    torch.manual_seed(9)
    given = GENOTYPE.build(2, TINY["channels"], TINY["layers"])
    save(given, tmp_path / "given.safetensors")
    settings = replace(tiny, init=str(tmp_path / "given.safetensors"), learning_rate=1e-12, epochs=1)
    train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu")
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), given.state_dict())
    train(GENOTYPE, replace(settings, scale=3), tmp_path / "x3", accelerator="cpu")
    other = load(tmp_path / "x3" / "last.safetensors")
    assert other.scale == 3
    assert_same({"stem": other.stem.conv.weight}, {"stem": given.stem.conv.weight})
    with pytest.raises(ValueError, match="another architecture"):
        train(Genotype.random(6, layers=3), settings, tmp_path / "other", accelerator="cpu")
    with pytest.raises(ValueError, match="has channels 2, not 3; give --channels 2"):
        train(GENOTYPE, replace(settings, channels=3), tmp_path / "other", accelerator="cpu")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_damaged_checkpoint_is_named(tiny: TrainingSettings, tmp_path: Path) -> None:
    train(GENOTYPE, replace(tiny, epochs=1), tmp_path / "run", accelerator="cpu")
    checkpoint = tmp_path / "run" / "checkpoint.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint.ckpt: damaged; give --force to start over"):
        train(GENOTYPE, replace(tiny, epochs=1), tmp_path / "run", accelerator="cpu")


def test_a_second_training_is_kept_out(tiny: TrainingSettings, tmp_path: Path) -> None:
    from hnas_nni.training.folder import TrainingFolder

    (tmp_path / "run").mkdir()
    with (
        TrainingFolder(tmp_path / "run").lock(),
        pytest.raises(ValueError, match="a training is running here"),
    ):
        train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu")


def test_divergence_is_named(tiny: TrainingSettings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--learning-rate: the training diverged in epoch 1"):
        train(GENOTYPE, replace(tiny, learning_rate=1e30), tmp_path / "run", accelerator="cpu")


def test_a_full_disk_beneath_tensorboard_is_named(
    tiny: TrainingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(writer: EventFileWriter) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(EventFileWriter, "flush", flush)
    with pytest.raises(OSError, match="No space left") as error:
        train(GENOTYPE, tiny, tmp_path / "run", accelerator="cpu", quiet=True)
    assert error.value.filename == str(tmp_path / "run" / "tensorboard")
