"""Networks with other weights than torch gives them, whose noise lets the signal of a deep network fade to nothing."""

from __future__ import annotations

import torch
from torch import nn

from hnas_nni import Genotype
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.efficient_network import EfficientNetwork, interpolated
from hnas_nni.network.network import HNASNetwork


def lively_network(
    genotype: Genotype, scale: int, layers: int, channels: int = 4, seed: int = 0
) -> SuperResolutionNetwork:
    """A network with larger random weights, whose outputs on noise vary by about 0.1 around the mean colour.

    Those of the efficient space vary as much around the interpolation.
    """
    with torch.random.fork_rng(devices=[]):  # the biases keep torch's own weights
        torch.manual_seed(seed)
        network = genotype.build(scale, channels, layers).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, generator=generator)
        noise = torch.rand(1, 3, 24, 24, generator=generator)
        if isinstance(network, EfficientNetwork):
            share = 0.1 / (network(noise) - interpolated(noise, scale)).std()
            writers = network.blocks[-1] if network.genotype.position == network.layers else network.tail
        else:
            share = 0.1 / network(noise).std()
            writers = network.tail
        for last in writers.modules():
            if isinstance(last, nn.Conv2d):
                last.weight.mul_(share)
                last.bias.zero_()
    return network


def without_noise(network: HNASNetwork) -> HNASNetwork:
    """Take torch's random weights away, so that nothing of them is left in first weights."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
    return network
