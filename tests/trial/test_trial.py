"""The trial by hand, as a user runs it: a process of its own, on real photographs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hnas_nni import HNAS_A, Genotype
from hnas_nni.cost import count
from hnas_nni.network.model_file import load
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.__main__ import main
from hnas_nni.trial.parameters import TrialParameters, reward_parameters
from hnas_nni.trial.reward import JointReward

SMALL = TrialSettings(
    channels=4, layers=3, steps=3, batch=2, patch=24, measured_patches=4, reports=3, device="cpu", threads=1
)
OPTIONS = [
    *("--channels", "4", "--layers", "3", "--steps", "3", "--batch", "2", "--patch", "24"),
    *("--measured-patches", "4", "--reports", "3", "--threads", "1"),
]
GENOTYPE = Genotype.random(1, layers=3)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hnas_nni.trial", *OPTIONS, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_by_hand_without_nni(tmp_path: Path) -> None:
    GENOTYPE.to_json(tmp_path / "genotype.json")
    finished = _run("--genotype", str(tmp_path / "genotype.json"), "--output", str(tmp_path), "--lambda", "0.2")
    assert finished.returncode == 0, finished.stderr
    metric = json.loads(finished.stdout)
    cost = count(GENOTYPE, 2, 4, 3)
    assert metric["gmacs"] == cost.gmacs
    assert metric["params"] == cost.params
    assert metric["default"] == pytest.approx(0.2 * metric["psnr"] - 0.8 * 0.05 * metric["gmacs"])
    assert Genotype.from_string(metric["genotype"]) == GENOTYPE
    assert finished.stderr.count("PSNR") == 3
    assert load(tmp_path / MODEL_FILE).genotype == GENOTYPE


@pytest.mark.slow
def test_a_trial_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys; from hnas_nni import Genotype, trial; from hnas_nni.trial.reward import JointReward\n"
        "settings = trial.TrialSettings(\n"
        "    channels=2, layers=3, steps=1, batch=1, patch=24, measured_patches=1, device='cpu')\n"
        "trial.evaluate(Genotype.random(1, 3), JointReward(), trial.Training(settings))\n"
        "heavy = {'nni', 'pytorch_lightning', 'torchvision', 'matplotlib', 'skimage', 'sklearn', 'torch._dynamo'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_evaluation_repeats_with_the_seed_and_varies_with_the_trials_number() -> None:
    first, again, other = (
        evaluate(GENOTYPE, JointReward(), Training(SMALL, number=number))[0].psnr for number in (0, 0, 1)
    )
    assert first == again
    assert first != other


@pytest.mark.slow
def test_sharing_starts_where_the_last_trial_ended(tmp_path: Path) -> None:
    """Many short trials of one architecture that share come further than the same ones from scratch."""
    settings = replace(SMALL, steps=25, batch=4, measured_patches=8, reports=1, learning_rate=5e-3)
    for number in range(5):
        shared, _ = evaluate(GENOTYPE, JointReward(), Training(settings, tmp_path / "shared", number))
    scratch, _ = evaluate(GENOTYPE, JointReward(), Training(settings, number=4))
    assert shared.psnr > scratch.psnr + 1


def test_weights_return_to_the_store(tmp_path: Path) -> None:
    from hnas_nni.trial.shared_weights import SharedWeights

    _, network = evaluate(GENOTYPE, JointReward(), Training(SMALL, tmp_path / "shared.sqlite"))
    copy = GENOTYPE.build(scale=2, channels=4, layers=3)
    SharedWeights(tmp_path / "shared.sqlite", scale=2, channels=4, layers=3).load_into(copy)
    for mine, stored in zip(network.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(mine, stored, rtol=1e-6, atol=0)


def test_a_trial_starts_from_an_interpolation_unless_told_otherwise() -> None:
    settings = replace(SMALL, channels=8, learning_rate=1e-6)
    psnr = {}
    for weights in ("interpolation", "torch"):
        training = Training(replace(settings, first_weights=weights))
        psnr[weights] = evaluate(GENOTYPE, JointReward(), training)[0].psnr
    assert evaluate(GENOTYPE, JointReward(), Training(settings))[0].psnr == psnr["interpolation"]
    assert psnr["interpolation"] > psnr["torch"] + 3


def test_own_images_in_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    settings = replace(SMALL, data=str(tmp_path))
    result, _ = evaluate(GENOTYPE, JointReward(), Training(settings))
    assert 0 < result.psnr < 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lambda", "2"], "lambda: 2.0 is not valid; give a number from 0 (cost alone) to 1 (PSNR alone)"),
        (["--cost-scale", "-1"], "cost_scale: -1.0 is not valid"),
        (["--data", "nowhere"], "--data: nowhere: no such folder"),
        (["--steps", "0"], "--steps: 0 is not valid; give at least 1"),
        (["--patch", "25"], "--patch: 25 is not valid; give a multiple of the scale 2"),
        (["--learning-rate", "-1"], "--learning-rate: -1.0 is not valid"),
        (["--genotype", "none.json"], "none.json"),
        (["--genotype", "late.json"], "position: 10 lies behind the last of 3 layers"),
        (["--shared-weights", "nowhere/weights.sqlite"], "nowhere: no such folder for the shared weights"),
        (["--patch", "2000"], "2000"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("NNI_PLATFORM", raising=False)
    monkeypatch.chdir(tmp_path)
    HNAS_A.to_json("late.json")
    given = {"--genotype": "paper", "--device": "cpu"} | dict(zip(OPTIONS[::2], OPTIONS[1::2], strict=True))
    given |= {arguments[0]: arguments[1]}
    assert main([word for pair in given.items() for word in pair]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("hnas trial: error: ")
    assert message in error


def test_a_gpu_that_is_not_there_is_named(capsys, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*OPTIONS, "--genotype", "paper", "--device", "cuda"]) == 2
    assert "device cuda: this machine has no usable GPU; give auto or cpu" in capsys.readouterr().err


def test_parameters_carry_architecture_and_reward() -> None:
    sample = HNAS_A.to_sample()
    assert TrialParameters.from_nni(sample) == TrialParameters(HNAS_A)
    reward = JointReward(0.9, 0.1)
    assert TrialParameters.from_nni(sample | reward_parameters(reward)) == TrialParameters(HNAS_A, reward)
    with pytest.raises(ValueError, match="lambda"):
        TrialParameters.from_nni(sample | {"lambda": 7})


def test_two_lambdas_that_differ_are_refused() -> None:
    from hnas_nni.trial.__main__ import _parser, _reward

    options = _parser().parse_args(["--lambda", "0.2"])
    assert _reward(options, JointReward(0.2)) == JointReward(0.2)
    with pytest.raises(ValueError, match=r"--lambda: 0\.2 here but 0\.6 in the tuner's classArgs"):
        _reward(options, JointReward(0.6))
