"""Networks of the literature, narrow and shallow where their papers leave that open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from hnas_nni.architecture.peers import PEERS, Peer

_SMALL_LAYERS = 3
_LEAST_CHANNELS = 4


@pytest.fixture(scope="session")
def small() -> Callable[[Peer, int], Any]:
    """Makes a small network of a kind, by scale, with the same weights each time."""

    def make(peer: Peer, scale: int) -> Any:
        channels = peer.multiple * -(-_LEAST_CHANNELS // peer.multiple) if peer.open_channels else peer.channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return peer.build(scale, channels, _SMALL_LAYERS if peer.open_layers else peer.layers).eval()

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test with ``peer`` and ``scale`` run for every network at every scale that it is defined for."""
    if {"peer", "scale"} <= set(metafunc.fixturenames):
        pairs = [(peer, scale) for peer in PEERS.values() for scale in peer.scales]
        metafunc.parametrize(("peer", "scale"), pairs, ids=[f"{peer} x{scale}" for peer, scale in pairs])
