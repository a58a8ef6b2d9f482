"""Normalization while searching: in the space, not in the networks taken out of it."""

from __future__ import annotations

from statistics import median

import pytest
import torch
from nni.nas.strategy import RandomOneShot

from hnas_nni import Genotype
from hnas_nni.data import load_pairs
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.first_weights import multiply_by_paths
from search_spaces import HNASSpace

LAYERS = 3


def _supernet(normalization: str, channels: int = 4, scale: int = 2) -> HNASSpace:
    torch.manual_seed(0)
    space = HNASSpace(scale=scale, channels=channels, layers=LAYERS, normalization=normalization)
    return RandomOneShot().mutate_model(space)


def _take(supernet: HNASSpace, genotype: Genotype) -> None:
    sample = genotype.to_sample()
    for module in supernet.modules():
        if hasattr(module, "resample"):
            module.resample(sample)


def _convolved(supernet: HNASSpace) -> list[torch.Tensor]:
    """Outputs of the convolutional candidates that one architecture runs."""
    outputs: list[torch.Tensor] = []
    _take(supernet, Genotype.random(4, layers=LAYERS))
    for module in supernet.modules():
        if type(module).__name__ in ("DilatedConv", "SeparableConv", "ResidualChannelAttentionBlock", "Deconv"):
            module.register_forward_hook(lambda *call: outputs.append(call[2].detach()))
    supernet(torch.rand(4, 3, 12, 12))
    return outputs


def test_batch_norm_gives_normalised_maps() -> None:
    outputs = _convolved(_supernet("batch"))
    assert outputs
    for output in outputs:
        torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
        assert (output.var((0, 2, 3), unbiased=False) <= 1 + 1e-5).all()
    assert any(abs(float(output.mean())) > 1e-3 for output in _convolved(_supernet("none")))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_architecture_starts_as_an_interpolation(scale: int) -> None:
    """Before any training, on a photograph: the worst of many is better than the best with torch's weights."""
    pair = load_pairs("embedded:photos", scale, limit=1)[0]
    low, high = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (pair.lr, pair.hr))
    low, high = low[..., :48, :48].float() / 255, high[..., : 48 * scale, : 48 * scale]
    psnrs: dict[str, list[float]] = {"mean": [], "none": []}
    for normalization, found in psnrs.items():
        supernet = _supernet(normalization, channels=8, scale=scale)
        with torch.inference_mode():
            for seed in range(12):
                _take(supernet, Genotype.random(seed, layers=LAYERS))
                found.append(float(psnr_y_batch(supernet(low), high, scale)))
    assert min(psnrs["mean"]) > max(psnrs["none"])
    assert median(psnrs["mean"]) > median(psnrs["none"]) + 6


@pytest.mark.slow
def test_frozen_networks_are_as_good_as_their_paths() -> None:
    """Their nodes add up, and yet what the supernet has learnt is kept: here, to interpolate the photograph."""
    pair = load_pairs("embedded:photos", 2, limit=1)[0]
    low, high = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (pair.lr, pair.hr))
    low, high = low[..., :48, :48].float() / 255, high[..., :96, :96]
    supernet = _supernet("mean", channels=8)
    lost, lost_without = [], []
    with torch.inference_mode():
        for seed in range(12):
            genotype = Genotype.random(seed, layers=LAYERS)
            _take(supernet, genotype)
            network = supernet.freeze(genotype.to_sample())
            shared, frozen = (float(psnr_y_batch(model(low), high, 2)) for model in (supernet, network))
            multiply_by_paths(network)
            lost.append(shared - frozen)
            lost_without.append(shared - float(psnr_y_batch(network(low), high, 2)))
    assert max(lost) < 2
    assert min(lost_without) > 5


def test_nodes_average_their_edges() -> None:
    supernet = _supernet("mean")
    cell = supernet.blocks.normal[0]
    genotype = Genotype.random(0, layers=LAYERS)
    identity = {key: "identity" if "/op_" in key else value for key, value in genotype.to_sample().items()}
    cell.resample({label: value for label, value in identity.items() if label.startswith("normal/")})
    for reduce in cell.preprocessor:
        torch.nn.init.dirac_(reduce[1].weight)
    x = torch.rand(1, 16, 5, 5)
    # All inputs the same and all operations the identity: so is every node.
    torch.testing.assert_close(cell([x, x]), x[:, :4].repeat(1, 4, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["mean", "batch"])
def test_weights_and_final_network_are_those_without(normalization: str) -> None:
    with_norm, without = _supernet(normalization), _supernet("none")
    assert {name: weight.shape for name, weight in with_norm.state_dict().items()} == {
        name: weight.shape for name, weight in without.state_dict().items()
    }
    without.load_state_dict(with_norm.state_dict())
    genotype = Genotype.random(1, layers=LAYERS)
    x = torch.rand(2, 3, 8, 8)
    network = with_norm.freeze(genotype.to_sample())
    if normalization == "mean":
        multiply_by_paths(network)
    torch.testing.assert_close(network(x), without.freeze(genotype.to_sample())(x))
    plain = HNASSpace.create_fixed_module(genotype.to_sample(), layers=LAYERS, normalization=normalization)
    assert plain.layers == LAYERS


def test_unknown_normalization_is_named() -> None:
    with pytest.raises(ValueError, match="normalization: 'layer' is not valid; give one of none, mean, batch"):
        HNASSpace(normalization="layer")
