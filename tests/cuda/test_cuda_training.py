"""Training step, trial, weight-sharing search and `hnas train` on a GPU."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lively_networks import lively_network
from tiny_training import GENOTYPE, TINY
from waiting import counted_waiting, no_waiting

from hnas_nni import HNAS_A, HNAS_B, Genotype, load
from hnas_nni.cli import main
from hnas_nni.data import PatchSampler, load_splits
from hnas_nni.network.network import HNASNetwork
from hnas_nni.training import TrainingSettings, train
from hnas_nni.training.module import RetrainingModule
from hnas_nni.training.step import Adam, patch_psnr, training_step
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.shared_weights import SharedWeights

pytestmark = pytest.mark.cuda

TRIAL = TrialSettings(layers=3, channels=6, steps=6, batch=4, patch=32, limit=1, measured_patches=8, reports=2)
SEARCH: dict[str, Any] = {
    "layers": 3,
    "channels": 6,
    "batch": 4,
    "patch": 24,
    "epochs": 3,
    "weight_steps": 4,
    "controller_steps": 2,
    "controller_batch": 2,
    "architectures": 3,
    "candidates": 4,
    "limit": 1,
    "seed": 5,
}


@pytest.mark.parametrize("genotype", [HNAS_A, HNAS_B], ids=[*"AB"])
def test_training_step(genotype: Genotype, device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    lr, hr = (torch.rand(2, 3, side, side, generator=generator) for side in (12, 24))
    losses, weights = [], []
    for place in (torch.device("cpu"), device):
        network = lively_network(replace(genotype, position=2), 2, 3).to(place)
        optimizer = Adam()
        steps = [training_step(network, optimizer, lr.to(place), hr.to(place), 1e-4, micro_batch=1) for _ in range(8)]
        losses.append(torch.stack(steps).cpu())
        weights.append(torch.cat([weight.detach().cpu().flatten() for weight in network.parameters()]))
    first = lively_network(replace(genotype, position=2), 2, 3)
    before = torch.cat([weight.detach().flatten() for weight in first.parameters()])
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-5)
    assert losses[0][-1] < losses[0][0]
    # Adam turns a gradient that is zero but for rounding into a whole step, so single weights may differ.
    assert (weights[1] - weights[0]).abs().mean() < 0.05 * (weights[0] - before).abs().mean()


def test_moments_can_be_taken_to_a_file_and_back(device: torch.device) -> None:
    lr, hr = torch.rand(2, 3, 12, 12, device=device), torch.rand(2, 3, 24, 24, device=device)
    network = lively_network(replace(HNAS_A, position=2), 2, 3).to(device)
    optimizer = Adam()
    training_step(network, optimizer, lr, hr, 1e-3)
    state = {
        name: tuple(moment.cpu().clone() for moment in moments)
        for name, moments in optimizer.state_dict(network).items()
    }
    again: HNASNetwork = lively_network(replace(HNAS_A, position=2), 2, 3).to(device)
    again.load_state_dict(network.state_dict())
    other = Adam()
    other.load_state_dict(again, state)
    for one, its_optimizer in ((network, optimizer), (again, other)):
        training_step(one, its_optimizer, lr, hr, 1e-3)
    before, after = (torch.cat([weight.flatten() for weight in one.parameters()]) for one in (network, again))
    assert (after - before).abs().mean() < 1e-5


def test_step_waits_for_nothing(device: torch.device) -> None:
    splits = load_splits("embedded:photos", 2, patch_size=24, limit=1)
    sampler = PatchSampler(splits.weight, 2, 24, device)
    network = lively_network(replace(HNAS_B, position=2), 2, 3).to(device)
    optimizer = Adam()
    training_step(network, optimizer, *sampler.sample(2), 1e-3)
    with no_waiting(device):
        loss = training_step(network, optimizer, *sampler.sample(2), 1e-3)
    assert float(loss) > 0
    # The check sees what it is there for.
    with pytest.raises(RuntimeError, match=r"device|synchroniz"), no_waiting(device):
        loss.item()


@pytest.mark.parametrize("genotype", [HNAS_A, HNAS_B], ids=[*"AB"])
def test_trial(genotype: Genotype, device: torch.device, tmp_path: Path) -> None:
    genotype = replace(genotype, position=2)
    # Steps that change nothing: the random patches differ between CPU and GPU, those that are measured do not.
    still = replace(TRIAL, learning_rate=1e-12)
    expected, _ = evaluate(genotype, JointReward(), Training(replace(still, device="cpu")))
    found, network = evaluate(genotype, JointReward(), Training(replace(still, device=str(device))))
    assert found.psnr == pytest.approx(expected.psnr, abs=0.01)
    assert found.gmacs == expected.gmacs and found.params == expected.params
    assert found.reward == pytest.approx(expected.reward, abs=0.01)
    assert next(network.parameters()).device.type == device.type
    shared, reported = tmp_path / "shared.sqlite", []
    learning = replace(TRIAL, device=str(device), steps=20)
    learnt, _ = evaluate(genotype, JointReward(), Training(learning, shared), reported.append)
    assert learnt.psnr == reported[-1].psnr != found.psnr
    assert len(SharedWeights(shared, scale=2, channels=6, layers=3)) > 0
    # The second begins with what the first learnt.
    again, _ = evaluate(genotype, JointReward(), Training(replace(still, device=str(device)), shared, 1))
    assert again.psnr == pytest.approx(learnt.psnr, abs=0.01)


def test_patch_psnr(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    lr = (255 * torch.rand(5, 3, 12, 12, generator=generator)).byte()
    hr = (255 * torch.rand(5, 3, 24, 24, generator=generator)).byte()
    network = lively_network(replace(HNAS_B, position=2), 2, 3)
    expected = patch_psnr(network, lr, hr, 2, batch=2)
    assert patch_psnr(network.to(device), lr.to(device), hr.to(device), 2, batch=2) == pytest.approx(expected, abs=0.01)


def search_parts(device: torch.device, images: Path, **settings: Any) -> tuple[Any, Any, PatchSampler, Any]:
    """Policy, training, sampler and settings as :class:`strategies.search.WeightSharingSearch` has them."""
    from strategies.search import SearchSettings
    from strategies.search.command import quiet_imports

    quiet_imports()
    from strategies.search.supernet_training import SupernetTraining, make_supernet
    from strategies.supernet_policy import SupernetPolicy

    chosen = SearchSettings(**{**SEARCH, "data": (str(images),), **settings})
    splits = load_splits(chosen.data, chosen.scale, patch_size=chosen.patch, limit=chosen.limit or None)
    supernet = make_supernet(chosen, device)
    policy = SupernetPolicy(supernet, chosen.policy(), seed=chosen.seed)
    training = SupernetTraining(supernet, policy, chosen, splits.validation)
    return policy, training, PatchSampler(splits.weight, chosen.scale, chosen.patch, device), chosen


@pytest.mark.parametrize("normalization", ["mean", "none", "batch"])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_weight_steps_of_a_search_wait_for_nothing(
    precision: str, normalization: str, device: torch.device, cuttings: Path
) -> None:
    policy, training, sampler, settings = search_parts(
        device, cuttings, precision=precision, normalization=normalization
    )
    architectures = policy.draw(4)
    training.weight_step(architectures[0], *sampler.sample(settings.batch), 1e-3)
    with no_waiting(device):
        losses = [training.weight_step(one, *sampler.sample(settings.batch), 1e-3) for one in architectures]
    assert all(torch.isfinite(torch.stack(losses)).tolist())


def test_controller_step_waits_once(device: torch.device, cuttings: Path) -> None:
    policy, training, sampler, settings = search_parts(device, cuttings)
    architectures = policy.draw(settings.architectures)
    batch = sampler.sample(settings.controller_batch)
    training.batch_psnrs(architectures, *batch)
    with counted_waiting(device) as waits:
        psnrs = training.batch_psnrs(architectures, *batch)
        policy.learn(architectures, psnrs)
    assert len(waits) == (1 if device.type == "cuda" else 0), waits


def test_supernet_gives_what_it_gives_on_the_cpu(device: torch.device, cuttings: Path) -> None:
    policy, training, sampler, _ = search_parts(torch.device("cpu"), cuttings)
    architectures = policy.draw(6)
    lr, hr = sampler.sample(4)
    expected = training.batch_psnrs(architectures, lr, hr)
    _, on_device, _, _ = search_parts(device, cuttings)
    found = on_device.batch_psnrs(architectures, lr.to(device), hr.to(device))
    assert found == pytest.approx(expected, abs=0.01)
    costs = [training.cost(one) for one in architectures]
    assert [on_device.cost(one) for one in architectures] == costs


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_search_is_stopped_and_goes_on(precision: str, device: torch.device, tmp_path: Path, cuttings: Path) -> None:
    from strategies.search import SearchSettings, WeightSharingSearch

    settings = SearchSettings(**SEARCH, data=(str(cuttings),), precision=precision, device=device.type)

    class PowerCutError(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        raise PowerCutError

    with pytest.raises(PowerCutError):
        WeightSharingSearch(settings, tmp_path / "run", on_epoch=stop).run()
    ranking = WeightSharingSearch(settings, tmp_path / "run").run()
    assert len(ranking) == settings.candidates
    with open(tmp_path / "run" / "epochs.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert all(float(row["validation_psnr"]) > 0 for row in rows)
    winner = load(next((tmp_path / "run").glob("winner*.safetensors")))
    assert winner.genotype == ranking[0].genotype


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_training_is_stopped_and_goes_on(
    precision: str, device: torch.device, tmp_path: Path, small_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(
        **{**TINY, "channels": 6, "epochs": 3, "precision": precision, "ema": 0.9, "validation": small_image}
    )
    train(GENOTYPE, settings, tmp_path / "whole", accelerator=device.type, quiet=True)
    original = RetrainingModule.training_step

    def interrupted(self: RetrainingModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 1:
            raise RuntimeError("power cut")
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(RetrainingModule, "training_step", interrupted)
        with pytest.raises(RuntimeError, match="power cut"):
            train(GENOTYPE, settings, tmp_path / "stopped", accelerator=device.type, quiet=True)
    training = train(GENOTYPE, settings, tmp_path / "stopped", accelerator=device.type, quiet=True)
    whole = train(GENOTYPE, settings, tmp_path / "whole", accelerator=device.type, quiet=True)
    assert [row["epoch"] for row in training.history] == [1, 2, 3]
    for row, expected in zip(training.history, whole.history, strict=True):
        assert row["validation_psnr"] == pytest.approx(expected["validation_psnr"], abs=0.01)
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-2)
    with torch.inference_mode():
        found = [load(folder.weights)(torch.full((1, 3, 8, 8), 0.5)) for folder in (training, whole)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=5e-3)


def test_command(device: torch.device, tmp_path: Path, small_image: str, capsys: pytest.CaptureFixture[str]) -> None:
    GENOTYPE.to_json(tmp_path / "genotype.json")
    given = {**TINY, "precision": "bf16", "validation": small_image, "out": tmp_path / "run", "device": device.type}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert main(["train", str(tmp_path / "genotype.json"), *options, "--quiet", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["epochs"] == TINY["epochs"]
    assert printed["validation_psnr"] > 0
