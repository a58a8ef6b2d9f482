"""Batch norm while searching: in the space, not in the networks taken out of it."""

from __future__ import annotations

import torch
from nni.nas.strategy import RandomOneShot

from hnas_nni import Genotype
from search_spaces import HNASSpace

LAYERS = 3


def _supernet(batch_norm: bool) -> HNASSpace:
    torch.manual_seed(0)
    return RandomOneShot().mutate_model(HNASSpace(scale=2, channels=4, layers=LAYERS, batch_norm=batch_norm))


def _sampled_cells(supernet: HNASSpace) -> list[torch.Tensor]:
    """Outputs of the convolutional candidates that one architecture runs."""
    outputs: list[torch.Tensor] = []
    sample = Genotype.random(4, layers=LAYERS).to_sample()
    for module in supernet.modules():
        if hasattr(module, "resample"):
            module.resample(sample)
        if type(module).__name__ in ("DilatedConv", "SeparableConv", "ResidualChannelAttentionBlock", "Deconv"):
            module.register_forward_hook(lambda *call: outputs.append(call[2].detach()))
    supernet(torch.rand(4, 3, 12, 12))
    return outputs


def test_candidates_give_normalised_maps() -> None:
    outputs = _sampled_cells(_supernet(batch_norm=True))
    assert outputs
    for output in outputs:
        torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
        assert (output.var((0, 2, 3), unbiased=False) <= 1 + 1e-5).all()
    assert any(abs(float(output.mean())) > 1e-3 for output in _sampled_cells(_supernet(batch_norm=False)))


def test_weights_and_final_network_are_those_without() -> None:
    with_norm, without = _supernet(True), _supernet(False)
    assert {name: weight.shape for name, weight in with_norm.state_dict().items()} == {
        name: weight.shape for name, weight in without.state_dict().items()
    }
    without.load_state_dict(with_norm.state_dict())
    genotype = Genotype.random(1, layers=LAYERS)
    x = torch.rand(2, 3, 8, 8)
    network = with_norm.freeze(genotype.to_sample())
    assert torch.equal(network(x), without.freeze(genotype.to_sample())(x))
    assert HNASSpace.create_fixed_module(genotype.to_sample(), layers=LAYERS, batch_norm=True).layers == LAYERS
