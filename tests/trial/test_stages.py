"""What a trial reports, and how a search by successive halving goes on with it: against the same computed by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from rounding import same_psnr

import hnas_nni.data
import hnas_nni.training.step
from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import count
from hnas_nni.data import PatchSampler, fixed_patches, load_splits
from hnas_nni.network.model_file import load, save
from hnas_nni.network.over_parameterised import expand
from hnas_nni.training.step import Adam, cosine_learning_rate, training_step
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.__main__ import main
from hnas_nni.trial.checkpoints import checkpoint_path
from hnas_nni.trial.parameters import Stage, TrialParameters
from hnas_nni.trial.reward import JointReward

SETTINGS = TrialSettings(batch=2, patch=24, measured_patches=6, reports=4, steps=4, limit=2, device="cpu", threads=1)
REWARD = JointReward(1.0)
GENOTYPE = replace(Genotype.random(3, space=EFFICIENT), depth=3, width=8, position=3)
PAPER = Genotype.random(1, layers=3)
Batches = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """All batches that trials draw in a test."""
    drawn: Batches = []

    class Recording(PatchSampler):
        def sample(self, n: int) -> Any:
            drawn.append(super().sample(n))
            return drawn[-1]

    monkeypatch.setattr(hnas_nni.data, "PatchSampler", Recording)
    return drawn


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of all steps of trials in a test."""
    used: list[float] = []

    def step(network: Any, optimizer: Adam, lr: torch.Tensor, hr: torch.Tensor, rate: float) -> torch.Tensor:
        used.append(rate)
        return training_step(network, optimizer, lr, hr, rate)

    monkeypatch.setattr(hnas_nni.training.step, "training_step", step)
    return used


def of_stage(folder: Path | None, number: int, steps: int, *, trial: int = 0) -> Training:
    return Training(SETTINGS, number=trial, stage=Stage(number, steps), folder=folder)


def measured() -> tuple[torch.Tensor, torch.Tensor]:
    splits = load_splits("embedded:photos", 2, patch_size=24, seed=0, limit=2)
    return fixed_patches(splits.validation, 2, 24, 6, 0)


def luma(images: torch.Tensor) -> npt.NDArray[np.float64]:
    """Y of BT.601 in studio range, from (n, 3, h, w) in 0..255, without a border of two pixels."""
    weights = np.array([65.481, 128.553, 24.966]).reshape(1, 3, 1, 1) / 255
    return 16 + (images.numpy().astype(np.float64) * weights).sum(1)[:, 2:-2, 2:-2]


def pooled_psnr_by_hand(images: torch.Tensor, hr: torch.Tensor) -> float:
    """From images (n, 3, h, w) in 0..1 and uint8, as one image of all."""
    rounded = (images.clamp(0, 1) * 255).round()
    return float(10 * np.log10(255**2 / np.mean((luma(rounded) - luma(hr)) ** 2)))


def bicubic_by_hand(lr: torch.Tensor) -> torch.Tensor:
    """Twice the size by cubic convolution (Keys, 1981) with a = -0.75 as torch's, edges repeated; in 0..1."""

    def kernel(x: float) -> float:
        x, a = abs(x), -0.75
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    size = lr.shape[-1]
    matrix = np.zeros((2 * size, size))
    for row in range(2 * size):
        centre = (row + 0.5) / 2 - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            matrix[row, min(max(tap, 0), size - 1)] += kernel(centre - tap)
    low = lr.numpy().astype(np.float64) / 255
    return torch.from_numpy(np.einsum("ri,nchw,hi,sw->ncrs", matrix, low, np.eye(size), matrix))


def test_psnr_is_that_of_all_patches_together_and_gain_what_is_above_bicubic() -> None:
    result, network = evaluate(GENOTYPE, REWARD, Training(SETTINGS))
    assert network is not None and result.psnr is not None
    low, high = measured()
    with torch.no_grad():
        upscaled = network.eval()(low.float() / 255)
    assert result.psnr == same_psnr(pooled_psnr_by_hand(upscaled, high))
    assert result.gain == same_psnr(result.psnr - pooled_psnr_by_hand(bicubic_by_hand(low), high))
    assert result.reward == result.psnr
    cost = count(GENOTYPE, 2)
    assert (result.gmacs, result.params, result.steps, result.stage) == (cost.gmacs, cost.params, 4, None)


def test_what_is_saved_is_a_plain_network(tmp_path: Path) -> None:
    genotype = Genotype.from_sample(GENOTYPE.to_sample() | {"normal/op_2_0": "collapsible_3x3"})
    result, network = evaluate(genotype, REWARD, Training(SETTINGS))
    assert network is not None
    save(network, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.genotype == genotype
    assert not any("parametrizations" in name for name in [*network.state_dict(), *loaded.state_dict()])
    assert sum(weight.numel() for weight in loaded.parameters()) == count(genotype, 2).params
    low, high = measured()
    with torch.no_grad():
        assert result.psnr == same_psnr(pooled_psnr_by_hand(loaded(low.float() / 255), high))


@pytest.mark.parametrize("genotype", [GENOTYPE, PAPER], ids=["efficient", "paper"])
def test_a_stage_goes_on_as_if_there_had_been_no_pause(genotype: Genotype, tmp_path: Path, batches: Batches) -> None:
    """By hand: one network, one optimizer, and the batches of both stages one after another."""
    sizes = {"channels": 4, "layers": 3}
    settings = replace(SETTINGS, **sizes, first_weights="torch")
    for number, steps in ((1, 4), (2, 3)):
        training = Training(settings, stage=Stage(number, steps), folder=tmp_path)
        result, network = evaluate(genotype, REWARD, training)
    assert (result.steps, result.stage) == (7, 2)

    torch.manual_seed(0)
    expected = genotype.build(2, 4, 3)
    expand(expected)
    optimizer = Adam()
    rate, warm_up = (3e-4, 0.0) if genotype is PAPER else (2e-3, 0.1)
    schedule = [
        cosine_learning_rate(step / steps, rate, rate / 100, warm_up) for steps in (4, 3) for step in range(steps)
    ]
    for (low, high), now in zip(batches, schedule, strict=True):
        training_step(expected, optimizer, low, high, now)
    image = torch.rand(1, 3, 12, 12)
    assert network is not None
    with torch.no_grad():
        torch.testing.assert_close(network(image), expected(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("genotype", [GENOTYPE, PAPER], ids=["efficient", "paper"])
def test_a_stage_that_was_killed_before_it_reported_is_the_same_when_it_runs_again(
    genotype: Genotype, tmp_path: Path
) -> None:
    """It goes on from what the stage before has left, not from its own weights."""
    settings = replace(SETTINGS, channels=4, layers=3)
    found = []
    for number in (1, 2, 2):
        result, _ = evaluate(genotype, REWARD, Training(settings, stage=Stage(number, 3), folder=tmp_path))
        found.append(result)
    assert found[2] == found[1]
    assert found[2].steps == 6


def test_the_first_psnr_of_a_stage_is_near_the_last_of_the_one_before(tmp_path: Path) -> None:
    settings = replace(SETTINGS, channels=4, layers=3, batch=8, first_weights="torch", learning_rate=5e-3)
    psnrs: dict[str, list[float]] = {"before": [], "after": [], "fresh": []}
    for name, folder, stage in (("before", "one", 1), ("after", "one", 2), ("fresh", "other", 1)):
        training = Training(settings, stage=Stage(stage, 80 if name == "before" else 4), folder=tmp_path / folder)
        evaluate(PAPER, REWARD, training, lambda result, name=name: psnrs[name].append(result.psnr))
    # The batches differ, and the first steps of a schedule are long ones.
    assert psnrs["after"][0] > psnrs["fresh"][-1] + 3
    assert abs(psnrs["after"][0] - psnrs["before"][-1]) < 3


def test_stages_draw_other_batches(tmp_path: Path, batches: Batches) -> None:
    for number in (1, 2):
        evaluate(GENOTYPE, REWARD, of_stage(tmp_path, number, 2))
    first, second = batches[:2], batches[2:]
    assert not any(torch.equal(low, other) for low, _ in first for other, _ in second)


def test_a_trial_trains_on_what_is_not_held_out_and_on_smaller_copies_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Noting(PatchSampler):
        def __init__(self, pairs: Any, *others: Any) -> None:
            seen.append([pair.name for pair in pairs])
            super().__init__(pairs, *others)

    monkeypatch.setattr(hnas_nni.data, "PatchSampler", Noting)
    settings = replace(SETTINGS, limit=0, steps=1, reports=1)
    for given in (settings, replace(settings, smaller_copies=True)):
        evaluate(GENOTYPE, REWARD, Training(given))
    photographs = ["motorcycle", "china", "coffee", "flower", "rocket"]
    copies = [f"{name} x {size}" for size in (0.7, 0.5) for name in photographs]
    assert seen == [photographs, photographs + copies]


@pytest.mark.parametrize(
    ("genotype", "given", "highest", "first"),
    [(PAPER, None, 3e-4, 3e-4), (GENOTYPE, None, 2e-3, 2e-5), (GENOTYPE, 2e-5, 2e-5, 2e-7)],
    ids=["paper", "efficient", "given"],
)
def test_the_learning_rate_is_the_spaces_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch, genotype: Genotype, given: float | None, highest: float, first: float
) -> None:
    """In the efficient space it climbs over a tenth of the steps. Only the rates are looked at, no step is done."""
    used: list[float] = []
    monkeypatch.setattr(hnas_nni.training.step, "training_step", lambda *arguments: used.append(arguments[-1]))
    settings = replace(SETTINGS, channels=2, layers=3, patch=8, batch=1, reports=1, steps=200, learning_rate=given)
    evaluate(genotype, REWARD, Training(settings))
    assert used[0] == pytest.approx(first)
    assert used[20 if genotype is GENOTYPE else 0] == max(used) == pytest.approx(highest, rel=0.03)
    assert used == sorted(used[:20]) + sorted(used[20:], reverse=True) or genotype is PAPER
    assert used[-1] == pytest.approx(highest / 100, rel=0.02)  # the cosine's end


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def of_another_network(path: Path) -> None:
    other = replace(GENOTYPE, width=10)
    evaluate(other, REWARD, of_stage(path.parents[1], 1, 1))
    checkpoint_path(path.parents[1], other, 1).replace(path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (Path.unlink, "no weights to go on from; successive halving needs trials that share the experiment's folder"),
        (damage, "can't go on from these weights"),
        (of_another_network, "can't go on from these weights"),
    ],
    ids=["missing", "damaged", "another's"],
)
def test_weights_that_can_not_be_gone_on_from_are_named_in_a_line(
    harm: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    evaluate(GENOTYPE, REWARD, of_stage(tmp_path, 1, 1))
    path = checkpoint_path(tmp_path, GENOTYPE, 1)
    harm(path)
    with pytest.raises(ValueError) as caught:
        evaluate(GENOTYPE, REWARD, of_stage(tmp_path, 2, 1))
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stages_are_only_for_experiments_and_this_is_said_before_the_training(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="stage: only within an experiment of NNI"):
        evaluate(GENOTYPE, REWARD, of_stage(None, 1, 1))
    assert rates == []


def test_what_is_above_the_budget_is_rewarded_at_once_below_all_within(rates: list[float]) -> None:
    cost = count(GENOTYPE, 2)
    larger = replace(GENOTYPE, width=32)
    nearly = Training(replace(SETTINGS, budget=cost.gmacs * 0.999))
    result, network = evaluate(GENOTYPE, REWARD, nearly)
    worse, _ = evaluate(larger, REWARD, nearly)
    by_params, _ = evaluate(GENOTYPE, REWARD, Training(replace(SETTINGS, budget_params=cost.params - 1)))
    assert network is None and result.psnr is None and result.gain is None and rates == []
    assert (result.gmacs, result.params, result.steps) == (cost.gmacs, cost.params, 0)
    # Below the least that settings of the reward lead to: 0 dB, and all that the cost is worth.
    assert worse.reward < result.reward < JointReward(0.0, 5.0)(0, cost.gmacs)
    assert by_params.reward < -400
    metric = result.to_nni(GENOTYPE)
    assert set(metric) == {"default", "gmacs", "params", "steps", "genotype"}
    exactly, network = evaluate(GENOTYPE, REWARD, Training(replace(SETTINGS, budget=cost.gmacs, steps=1)))
    assert network is not None and exactly.psnr is not None and len(rates) == 1


def test_the_efficient_space_shares_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--shared-weights: only the paper's space shares weights") as caught:
        evaluate(GENOTYPE, REWARD, Training(SETTINGS, shared_weights=tmp_path / "shared.sqlite"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "shared.sqlite").exists()


def test_by_hand_an_architecture_above_the_budget_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NNI_PLATFORM", raising=False)
    assert main(["--genotype", "efficient", "--budget", "0.01", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    metric = json.loads(printed.out)
    assert "psnr" not in metric and metric["default"] < -400
    assert "above the budget of 0.01 GMAC: not trained" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_parameters_carry_the_stage() -> None:
    sample = GENOTYPE.to_sample()
    stage = Stage(2, 1500)
    assert TrialParameters.from_nni(sample | stage.to_nni()) == TrialParameters(GENOTYPE, None, stage)
    assert TrialParameters.from_nni(sample | {"stage": 1, "steps": 3}).stage == Stage(1, 3)
    assert TrialParameters.from_nni(sample).stage is None
    with pytest.raises(ValueError, match="steps: missing, but there is a stage"):
        TrialParameters.from_nni(sample | {"stage": 1})
    for wrong in ({"stage": 0, "steps": 3}, {"stage": 1, "steps": 1.5}, {"stage": True, "steps": 1}):
        with pytest.raises(ValueError, match="is not valid; a tuner gives an integer of at least 1"):
            TrialParameters.from_nni(copy.copy(sample) | wrong)
