"""Training step, measuring, reward and model files."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from rounding import same_psnr
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hnas_nni import HNAS_A, Genotype
from hnas_nni.data import PatchSampler, fixed_patches, load_splits
from hnas_nni.metrics import psnr_y
from hnas_nni.network.model_file import ModelFileError, load, save
from hnas_nni.training.step import Adam, cosine_learning_rate, patch_psnr, training_step
from hnas_nni.trial.reward import JointReward


def _network(seed: int = 0):
    torch.manual_seed(seed)
    return Genotype.random(seed, layers=3).build(scale=2, channels=4, layers=3)


def test_adam_equals_torchs() -> None:
    ours, theirs = _network(), _network()
    mine, reference = Adam(), torch.optim.Adam(theirs.parameters())
    for step in range(5):
        torch.manual_seed(step)
        lr, hr = torch.rand(2, 3, 6, 6), torch.rand(2, 3, 12, 12)
        rate = cosine_learning_rate(step / 5)
        loss = training_step(ours, mine, lr, hr, rate)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.zero_grad()
        expected = (theirs(lr) - hr).abs().mean()
        expected.backward()
        reference.step()
        assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 9])
def test_micro_batches_give_the_step_of_the_whole_batch(micro_batch: int) -> None:
    whole, parts = _network(), _network()
    optimizers = Adam(), Adam()
    for step in range(3):
        torch.manual_seed(step)
        lr, hr = torch.rand(5, 3, 6, 6), torch.rand(5, 3, 12, 12)
        expected = training_step(whole, optimizers[0], lr, hr, 1e-3)
        loss = training_step(parts, optimizers[1], lr, hr, 1e-3, micro_batch=micro_batch)
        assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_no_more_patches_than_a_micro_batch_run_at_once() -> None:
    network, seen = _network(), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    training_step(network, Adam(), torch.rand(5, 3, 6, 6), torch.rand(5, 3, 12, 12), 1e-3, micro_batch=2)
    assert seen == [2, 2, 1]


def test_adam_leaves_parameters_off_the_path_alone() -> None:
    on, off = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Adam()
    for _ in range(2):
        (on * 2).sum().backward()
        optimizer.step([on, off], 0.1)
    assert (on < 1).all()
    assert on.grad is None
    assert torch.equal(off, torch.ones(2))


def test_cosine_goes_from_first_to_last() -> None:
    assert cosine_learning_rate(0) == pytest.approx(1e-3)
    assert cosine_learning_rate(0.5) == pytest.approx(5.05e-4)
    assert cosine_learning_rate(1) == pytest.approx(1e-5)


def test_over_the_warm_up_the_rate_climbs_to_the_cosine() -> None:
    climbing = [cosine_learning_rate(share, 1e-3, 1e-5, warm_up=0.2) for share in (0, 0.1, 0.2, 0.5, 1)]
    cosine = [cosine_learning_rate(share) for share in (0.1, 0.2, 0.5, 1)]
    assert climbing == pytest.approx([1e-5, (1e-5 + cosine[0]) / 2, *cosine[1:]])


def test_patch_psnr_is_that_of_the_patches_mean_squared_error() -> None:
    splits = load_splits("embedded:photos", 2, patch_size=48)
    low, high = fixed_patches(splits.controller, 2, 48, 6)
    network = _network()
    with torch.no_grad():
        out = network(low.float() / 255)
    images = (out.clamp(0, 1) * 255).round().to(torch.uint8)
    expected = [
        psnr_y(np.asarray(sr.permute(1, 2, 0)), np.asarray(hr.permute(1, 2, 0)), 2)
        for sr, hr in zip(images, high, strict=True)
    ]
    squared_error = np.mean([10 ** (-psnr / 10) for psnr in expected])
    assert patch_psnr(network, low, high, 2, batch=4) == same_psnr(-10 * np.log10(squared_error))
    assert network.training


def test_training_on_photographs_learns() -> None:
    splits = load_splits("embedded:photos", 2, patch_size=48)
    sampler = PatchSampler(splits.weight, 2, 48, "cpu", 0)
    low, high = fixed_patches(splits.controller, 2, 48, 8)
    network, optimizer = _network(3), Adam()
    before = patch_psnr(network, low, high, 2)
    for _ in range(30):
        training_step(network, optimizer, *sampler.sample(4), 1e-3)
    assert patch_psnr(network, low, high, 2) > before + 3


def test_joint_reward_by_hand() -> None:
    assert JointReward(0.6)(30.0, 10.0) == pytest.approx(0.6 * 30 - 0.4 * 0.05 * 10)
    assert JointReward(0.2, cost_scale=1)(30.0, 10.0) == pytest.approx(6 - 8)
    assert JointReward(1)(30.0, 1e6) == 30


@pytest.mark.parametrize("weight", [-0.1, 1.1, "0.6", True, None, float("nan")])
def test_lambda_out_of_range_is_refused(weight) -> None:
    with pytest.raises(ValueError, match=r"lambda: .* is not valid; give a number from 0"):
        JointReward(weight)
    with pytest.raises(ValueError, match="cost_scale"):
        JointReward(0.5, cost_scale=-1)


def test_a_model_file_is_enough_to_load_it(tmp_path) -> None:
    network = HNAS_A.build(scale=3, channels=4, layers=10)
    save(network, tmp_path / "a.safetensors")
    loaded = load(tmp_path / "a.safetensors")
    assert loaded.genotype == HNAS_A
    assert (loaded.scale, loaded.channels, loaded.layers) == (3, 4, 10)
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x), network(x))


def test_files_that_are_no_models_are_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such model file"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelFileError, match="text: damaged or not a model"):
        load(tmp_path / "text")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="not a model of hnas-nni"):
        load(tmp_path / "other.safetensors")
    save(HNAS_A.build(scale=2, channels=4, layers=10), tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match=r"cut\.safetensors: damaged"):
        load(tmp_path / "cut.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        metadata = file.metadata()
    first, second, *_ = tensors
    for changed, message in (
        ({first: None}, f"damaged: tensor {first} is missing"),
        ({first: None, second: None}, f"damaged: tensor {first} is missing (and 1 more)"),
        ({second: torch.zeros(1, 2)}, f"tensor {second} has the shape (1, 2), not {tuple(tensors[second].shape)}"),
        ({"own": torch.zeros(1)}, "damaged: tensor own is not of its network"),
    ):
        kept = {name: tensor for name, tensor in (tensors | changed).items() if tensor is not None}
        save_file(kept, tmp_path / "changed.safetensors", metadata)
        with pytest.raises(ModelFileError, match=f"changed.safetensors: .*{re.escape(message)}$"):
            load(tmp_path / "changed.safetensors")
    local = tmp_path / "local.json"
    HNAS_A.to_json(local)
    for changed, message in (
        ({"channels": "30000"}, "channels is 30000, but the stem has 16 channels in place of 4 C"),
        ({"layers": "3000000"}, "layers is 3000000, but there are 10 blocks"),
        ({"layers": "11"}, "layers is 11, but there are 10 blocks"),
        ({"scale": "7"}, "scale: 7 is not supported"),
        ({"scale": "two"}, "invalid literal"),
        ({"genotype": str(local)}, "Expecting value"),  # no file is read for what another file says
        ({"genotype": "[]"}, "damaged header"),
        ({"version": "2"}, "version 2 can't be read; update hnas-nni"),
    ):
        save_file(tensors, tmp_path / "changed.safetensors", metadata | changed)
        with pytest.raises(ModelFileError, match=f"changed.safetensors: .*{re.escape(message)}"):
            load(tmp_path / "changed.safetensors")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        save(HNAS_A.build(scale=2, channels=4, layers=10), tmp_path / "none" / "a.safetensors")
