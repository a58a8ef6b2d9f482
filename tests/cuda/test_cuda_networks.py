"""Networks, patches and metrics on a GPU give what they give on the CPU."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from lively_networks import lively_network

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.architecture.operations import candidates
from hnas_nni.data import ImagePair, PatchSampler, load_pairs
from hnas_nni.inference import NetworkModel
from hnas_nni.inference.evaluation import evaluate
from hnas_nni.metrics import psnr_y_batch

pytestmark = pytest.mark.cuda

LAYERS = 4
PUBLISHED = [replace(genotype, position=3) for genotype in (HNAS_A, HNAS_B, HNAS_C)]
RANDOM = [Genotype.random(seed, LAYERS) for seed in range(6)]
"""Among them every operation of both cells."""


def test_the_random_architectures_have_every_operation() -> None:
    normal = {edge.operation for genotype in RANDOM for edge in genotype.normal.edges}
    upsampling = {edge.operation for genotype in RANDOM for edge in genotype.upsampling.edges}
    assert normal >= set(candidates(Genotype.space, "normal"))
    assert upsampling >= set(candidates(Genotype.space, "upsampling"))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("genotype", [*PUBLISHED, *RANDOM], ids=[*"ABC", *map(str, range(len(RANDOM)))])
def test_forward_and_backward(genotype: Genotype, scale: int, device: torch.device) -> None:
    """Where rounding turns a ReLU on or off single gradients jump, so those in fp32 are compared as a whole."""
    network = lively_network(genotype, scale, LAYERS)
    images = torch.rand(2, 3, 13, 18, generator=torch.Generator().manual_seed(1))
    for dtype, tolerance in ((torch.float32, 1e-2), (torch.float64, 1e-8)):
        found, gradients = [], []
        for place in (torch.device("cpu"), device):
            copied = copy.deepcopy(network).to(place, dtype)
            out = copied(images.to(place, dtype))
            out.square().mean().backward()
            found.append(out.detach().cpu())
            gradients.append({name: weight.grad for name, weight in copied.named_parameters()})
        torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-4)
        for name, expected in gradients[0].items():
            gradient = gradients[1][name]
            assert (gradient is None) == (expected is None), name
            if expected is not None and gradient is not None:
                error = float((gradient.cpu() - expected).norm() / (expected.norm() + 1e-7))
                assert error < tolerance, f"{name}: {error} in {dtype}"


def test_patches(device: torch.device) -> None:
    """HR is LR with each pixel twice, so that every patch tells whether both are cut at one place and turned alike."""
    generator = np.random.default_rng(0)
    pairs = []
    for index, (height, width) in enumerate([(40, 30), (33, 50)]):
        lr = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pairs.append(ImagePair(str(index), lr, lr.repeat(2, axis=0).repeat(2, axis=1)))
    sampler = PatchSampler(pairs, 2, 24, device, seed=3)
    before = sampler.state_dict()
    lr, hr = sampler.sample(16)
    assert lr.device.type == hr.device.type == device.type
    torch.testing.assert_close(hr, lr.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), rtol=0, atol=0)
    assert len({patch.numpy().tobytes() for patch in lr.cpu()}) == 16
    sampler.load_state_dict(before)
    torch.testing.assert_close(sampler.sample(16)[0], lr, rtol=0, atol=0)


def test_psnr(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    sr = torch.rand(3, 3, 20, 24, generator=generator)
    hr = (255 * torch.rand(3, 3, 20, 24, generator=generator)).byte()
    found = psnr_y_batch(sr.to(device), hr.to(device), 2)
    torch.testing.assert_close(found.cpu(), psnr_y_batch(sr, hr, 2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("genotype", PUBLISHED, ids=[*"ABC"])
def test_evaluation(genotype: Genotype, device: torch.device) -> None:
    network = lively_network(genotype, 2, LAYERS)
    pairs = [
        ImagePair(pair.name, pair.lr[40:90, 40:100], pair.hr[80:180, 80:200])
        for pair in load_pairs("embedded:photos", limit=3)
    ]
    expected = evaluate(NetworkModel(copy.deepcopy(network)), pairs)
    found = evaluate(NetworkModel(copy.deepcopy(network), device=device), pairs)
    for one, other in zip(found.images, expected.images, strict=True):
        assert one.psnr == pytest.approx(other.psnr, abs=0.01)
        assert one.ssim == pytest.approx(other.ssim, abs=1e-4)
