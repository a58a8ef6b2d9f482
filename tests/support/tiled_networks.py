"""Networks with and without channel attention."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from lively_networks import lively_network

from hnas_nni import HNAS_A, HNAS_B, Genotype
from hnas_nni.network.network import HNASNetwork
from hnas_nni.network.receptive_field import is_local


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
