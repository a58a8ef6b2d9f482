"""Training an architecture of the efficient space: expanded while it trains, plain where it is handed out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import TINY

from hnas_nni import Cell, Edge, Genotype, load
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.data import PatchSampler, load_pairs, load_splits
from hnas_nni.network.over_parameterised import collapse, expand
from hnas_nni.training import TrainingSettings, train
from hnas_nni.training.step import Adam, cosine_learning_rate, training_step

GENOTYPE = Genotype(
    normal=Cell((Edge("collapsible_3x3", 1), Edge("skip", 0), Edge("conv_3x3", 2)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=2,
    depth=3,
    width=6,
    space=EFFICIENT,
)
SETTINGS = TrainingSettings(**TINY)


def train_by_hand(settings: TrainingSettings, decay: float = 0.0) -> dict[str, torch.Tensor]:
    """The steps of a training one after the other, without Lightning; returns the weights, or their average."""
    splits = load_splits("embedded:photos", settings.scale, patch_size=settings.patch)
    pairs = (
        splits.weight + splits.controller
        if settings.validation is None
        else load_pairs("embedded:photos", settings.scale)
    )
    torch.manual_seed(settings.seed)
    network = GENOTYPE.build(settings.scale)
    expand(network)
    optimizer, average = Adam(), {}
    total = settings.epochs * settings.steps_per_epoch
    for step in range(total):
        epoch, first = divmod(step, settings.steps_per_epoch)
        if first == 0:
            seed = settings.seed + 7_368_787 * epoch
            sampler = PatchSampler(pairs, settings.scale, settings.patch, seed=seed)
        first, last = settings.learning_rate, settings.learning_rate / 100
        rate = cosine_learning_rate(step / total, first, last, settings.warm_up)
        training_step(network, optimizer, *sampler.sample(settings.batch), rate)
        weights = {name: weight.clone() for name, weight in network.state_dict().items()}
        average = {name: decay * average.get(name, weight) + (1 - decay) * weight for name, weight in weights.items()}
    network.load_state_dict(average)
    collapse(network)
    return network.state_dict()


def assert_same(weights: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(weights) == list(expected)
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("ema", "warm_up"), [(0.0, 0.4), (0.6, 0.0)])
def test_what_is_written_is_the_trained_network_put_together(
    ema: float, warm_up: float, tmp_path: Path, small_image: str
) -> None:
    settings = replace(SETTINGS, ema=ema, warm_up=warm_up, learning_rate=3e-3, validation=small_image)
    train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu", quiet=True)
    network = load(tmp_path / "run" / "last.safetensors")
    assert network.genotype == GENOTYPE and (network.channels, network.layers) == (6, 3)
    assert_same(network.state_dict(), train_by_hand(settings, ema))


@pytest.mark.slow
def test_expanded_it_trains_in_another_way(tmp_path: Path, small_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, validation=small_image)
    train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu", quiet=True)
    monkeypatch.setattr("hnas_nni.training.run.expand", lambda network: None)
    train(GENOTYPE, settings, tmp_path / "plain", accelerator="cpu", quiet=True)
    one, other = (load(tmp_path / name / "last.safetensors").state_dict() for name in ("run", "plain"))
    assert not torch.allclose(one["stem.conv.weight"], other["stem.conv.weight"], rtol=0, atol=1e-5)


class _KilledError(Exception):
    pass


@pytest.mark.slow
def test_it_goes_on_where_it_was_interrupted(tmp_path: Path, small_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hnas_nni.training.folder import TrainingFolder

    settings = replace(SETTINGS, epochs=4, ema=0.9, validation=small_image)
    whole = train(GENOTYPE, settings, tmp_path / "whole", accelerator="cpu", quiet=True)
    write = TrainingFolder.write_epoch

    def killed(folder: TrainingFolder, history: list[Any], network: Any) -> None:
        if len(history) == 3:
            raise _KilledError
        write(folder, history, network)

    with monkeypatch.context() as patched, pytest.raises(_KilledError):
        patched.setattr(TrainingFolder, "write_epoch", killed)
        train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu", quiet=True)
    again = train(GENOTYPE, settings, tmp_path / "run", accelerator="cpu", quiet=True)
    assert [row["epoch"] for row in again.history] == [1, 2, 3, 4]
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]
    for name in ("best.safetensors", "last.safetensors"):
        one, other = (load(tmp_path / run / name).state_dict() for run in ("run", "whole"))
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.slow
def test_it_starts_from_weights_of_its_own(tmp_path: Path) -> None:
    """A step that changes nothing shows what it started from."""
    train(GENOTYPE, SETTINGS, tmp_path / "first", accelerator="cpu", quiet=True)
    start = tmp_path / "first" / "last.safetensors"
    still = replace(SETTINGS, init=str(start), learning_rate=1e-12, epochs=1, steps_per_epoch=1)
    train(GENOTYPE, still, tmp_path / "run", accelerator="cpu", quiet=True)
    assert_same(load(tmp_path / "run" / "last.safetensors").state_dict(), load(start).state_dict())
    other = replace(GENOTYPE, depth=4)
    with pytest.raises(ValueError, match=r"--init: .*: is of another architecture"):
        train(other, still, tmp_path / "other", accelerator="cpu", quiet=True)
