"""First weights of a network: whatever the architecture, it starts as an interpolation of the image."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively_networks import without_noise

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.data import load_pairs
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.network import HNASNetwork

LAYERS = 12


def _network(genotype: Genotype, scale: int = 2, channels: int = 8, layers: int = LAYERS) -> HNASNetwork:
    torch.manual_seed(0)
    return genotype.build(scale, channels, layers)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_deep_network_starts_as_an_interpolation(scale: int) -> None:
    """On a photograph, before any training: published and random cells in twelve blocks."""
    pair = load_pairs("embedded:photos", scale, limit=1)[0]
    low, high = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (pair.lr, pair.hr))
    low, high = low[..., :32, :32].float() / 255, high[..., : 32 * scale, : 32 * scale]
    for genotype in (HNAS_A, HNAS_B, HNAS_C, *(Genotype.random(seed, LAYERS) for seed in range(3))):
        network = _network(genotype, scale)
        with torch.inference_mode():
            before = float(psnr_y_batch(network(low), high, scale))
            interpolate(network)
            after = float(psnr_y_batch(network(low), high, scale))
        assert after > max(before + 3, 19), (genotype, before, after)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([2, 3, 4]), colour=st.tuples(*[st.floats(0.1, 0.9)] * 3))
def test_without_noise_a_colour_stays_what_it_is(seed: int, scale: int, colour: tuple[float, float, float]) -> None:
    """The sums of the nodes are undone exactly, however many paths lead to each."""
    genotype = Genotype.random(seed, layers=4)
    network = without_noise(genotype.build(scale, 6, 4))
    interpolate(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        image = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 40, 40)
        middle = network(image)[..., 15 * scale : 25 * scale, 15 * scale : 25 * scale]
    expected = torch.tensor(colour).view(1, 3, 1, 1).expand_as(middle)
    torch.testing.assert_close(middle, expected, atol=1e-4, rtol=0)


def test_few_channels_keep_torchs_weights() -> None:
    network = _network(HNAS_A, channels=5)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    interpolate(network)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
