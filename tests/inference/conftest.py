"""Networks whose signal reaches the output: the usual random weights of a deep network let it fade to nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from hnas_nni import HNAS_A, HNAS_B, Genotype
from hnas_nni.inference import is_local
from hnas_nni.network import HNASNetwork


def lively_network(genotype: Genotype, scale: int, layers: int, channels: int = 4, seed: int = 0) -> HNASNetwork:
    """A network with larger random weights, whose outputs on noise vary by about 0.1 around the mean colour."""
    network = genotype.build(scale, channels, layers).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, generator=generator)
        noise = torch.rand(1, 3, 24, 24, generator=generator)
        last = network.tail.conv
        last.weight.mul_(0.1 / network(noise).std())
        last.bias.zero_()
    return network


@pytest.fixture(scope="session")
def local_network() -> HNASNetwork:
    """HNAS-A's cells in 4 blocks: no channel attention."""
    return lively_network(replace(HNAS_A, position=3), 2, 4)


@pytest.fixture(scope="session")
def attention_network() -> HNASNetwork:
    """HNAS-B's cells in 4 blocks: with channel attention."""
    return lively_network(replace(HNAS_B, position=3), 2, 4)


@pytest.fixture(scope="session")
def random_local_network() -> Callable[[int, int], HNASNetwork]:
    """Makes a random network of 3 blocks without channel attention, by scale and seed."""

    def make(scale: int, seed: int) -> HNASNetwork:
        rng = random.Random(seed)
        genotype = Genotype.random(rng, 3)
        while not is_local(genotype):
            genotype = Genotype.random(rng, 3)
        return lively_network(genotype, scale, 3, seed=seed)

    return make
