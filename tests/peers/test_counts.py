"""Parameters and multiply-adds against what was published: CARN's table II, and the networks' own papers."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from hnas_nni.architecture.peers import PEERS
from hnas_nni.cost import Cost, count, small_count

_HR_PIXELS = 1280 * 720


class Published(NamedTuple):
    """Thousands of parameters and GMAC for a 1280x720 output; None where the paper has none, or they are not ours."""

    name: str
    scale: int
    kilo_params: int | None
    gmacs: float | None


PUBLISHED = (
    Published("SRCNN", 2, 57, 52.7),
    Published("SRCNN", 4, 57, 52.7),
    Published("VDSR", 2, 665, 612.6),
    Published("DRCN", 2, 1774, 17_974.3),
    Published("DRRN", 2, 297, 6_796.9),
    Published("SelNet", 2, 974, 225.7),
    Published("SelNet", 3, 1159, 120.0),
    Published("SelNet", 4, 1417, 83.1),
    Published("EDSR-baseline", 2, 1370, 316),
    Published("EDSR-baseline", 3, 1554, 160),
    Published("EDSR-baseline", 4, 1518, 114),
    Published("CARN", 2, 1592, 222.8),
    Published("CARN", 3, 1592, 118.8),
    Published("CARN", 4, 1592, 90.9),
    Published("CARN-M", 2, None, 91.2),
    Published("CARN-M", 3, None, 46.1),
    Published("CARN-M", 4, None, 32.5),
    Published("IMDN", 2, 694, 158.8),
    Published("IMDN", 3, 703, 71.5),
    Published("IMDN", 4, 715, 40.9),
    Published("RFDN", 2, 534, None),
    Published("RFDN", 3, 541, None),
    Published("RFDN", 4, 550, None),
    Published("SAFMN", 2, 228, 52),
    Published("SAFMN", 3, 233, 23),
    Published("SAFMN", 4, 240, 14),
    Published("FALSR-A", 2, 1021, 234.7),
    Published("FALSR-B", 2, None, 74.7),
)


def _count(name: str, scale: int) -> Cost:
    peer = PEERS[name]
    pixels = _HR_PIXELS // scale**2
    return count(peer, scale, peer.channels, peer.layers, (160, pixels // 160))


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: f"{published.name} x{published.scale}")
def test_as_published(published: Published) -> None:
    found = _count(published.name, published.scale)
    if published.kilo_params is not None:
        assert round(found.params / 1e3) == published.kilo_params
    if published.gmacs is not None:
        last_digit = 0.5 if published.gmacs == int(published.gmacs) and published.gmacs < 1000 else 0.05
        assert found.gmacs == pytest.approx(published.gmacs, rel=0.01, abs=last_digit)


def test_counts_without_biases() -> None:
    """CARN-M's 412 K are its weights alone; its released weights have 2,755 biases besides."""
    network = PEERS["CARN-M"].build()
    weights = sum(tensor.numel() for name, tensor in network.named_parameters() if name.endswith("weight"))
    assert round(weights / 1e3) == 412


def test_counts_of_the_released_graphs() -> None:
    """FALSR-B's and -C's released graphs are not quite the networks of the paper: 326 K, and 408 K and 93.7 GMAC."""
    assert _count("FALSR-B", 2).params == 324_744 + 1  # what lies in the graph, and the last bias
    assert _count("FALSR-C", 2).params == 426_568 + 1


def test_published_variants() -> None:
    """RFDN-L has 52 channels in place of 48; SAFMN's larger one 16 modules of 128 channels."""
    assert round(small_count(PEERS["RFDN"], 2, 52, 6).params / 1e3) == 626
    assert round(small_count(PEERS["RFDN"], 4, 52, 6).params / 1e3) == 643
    assert small_count(PEERS["SAFMN"], 4, 128, 16).params == pytest.approx(5.6e6, rel=0.01)


@pytest.mark.parametrize("name", PEERS)
def test_cost_from_small_images(name: str) -> None:
    """It is the same to the last integer as running the network on the whole image."""
    peer = PEERS[name]
    assert peer.cost(2) == count(peer, 2, peer.channels, peer.layers)
