"""What the networks compute."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hnas_nni.architecture.peers import PEERS, Peer, PeerError, peer
from hnas_nni.data import bicubic_upsample, load_pairs
from hnas_nni.peers.base import LumaNetwork
from hnas_nni.peers.bicubic import bicubic

Small = Callable[[Peer, int], Any]


def test_enlarges(small: Small, peer: Peer, scale: int) -> None:
    """Also a single pixel, as an image may be."""
    network = small(peer, scale)
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 7, 10)).shape == (2, 3, 7 * scale, 10 * scale)
        assert network(torch.rand(1, 3, 1, 1)).isfinite().all()


def test_how_far_it_looks(small: Small, peer: Peer, scale: int) -> None:
    """NaN in one LR pixel spreads to what depends on it: no further than the network says, and not much less."""
    network = small(peer, scale)
    if not network.is_local:
        pytest.skip("it looks at the whole image")
    centre = network.reach + 2
    images = torch.zeros(1, 3, 5, 2 * centre + 1)
    images[..., 2, centre] = torch.nan
    with torch.inference_mode():
        touched = network(images)[0, 0].isnan().any(dim=0).nonzero() // scale
    assert network.reach - 1 <= int((touched - centre).abs().max()) <= network.reach


def test_every_parameter_learns(small: Small, peer: Peer, scale: int) -> None:
    """But for the ends of CARN for other scales."""
    network = small(peer, scale)
    network(torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    for name, parameter in network.named_parameters():
        other_end = name.startswith("upsample.") and not name.startswith(f"upsample.up{scale}.")
        assert other_end == (parameter.grad is None), name


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_matlabs(scale: int) -> None:
    """At the border too; what is left is the rounding between the two passes, and at the end."""
    image = load_pairs("embedded:photos", 2, limit=1)[0].lr[:21, :30]
    found = bicubic(torch.from_numpy(image).permute(2, 0, 1)[None].double(), scale)[0].permute(1, 2, 0).numpy()
    inside = (found > 1) & (found < 254)
    assert np.abs(found - bicubic_upsample(image, scale))[inside].max() <= 1.2


@pytest.mark.parametrize("name", [name for name in PEERS if name not in ("CARN", "CARN-M", "SelNet")])
def test_colours_of_luma_networks_are_interpolated(small: Small, name: str) -> None:
    """What such a network changes of the bicubic image is grey; the others change colours."""
    network = small(PEERS[name], 2)
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        change = network(image) - bicubic(image, 2)
    same = bool((change - change[:, :1]).abs().max() < 1e-5)
    assert same == isinstance(network, LumaNetwork)


def test_safmn_pools_as_its_authors_do() -> None:
    """Where the sides are multiples of 8: by torch's adaptive pooling, and nearest interpolation to the size."""
    modulation = PEERS["SAFMN"].build(2, 8, 1).feats[0].safm
    x = torch.randn(1, 8, 16, 24, generator=torch.Generator().manual_seed(0))
    views = []
    for level, (part, weigh) in enumerate(zip(x.chunk(4, dim=1), modulation.mfr, strict=True)):
        coarse = weigh(F.adaptive_max_pool2d(part, (16 // 2**level, 24 // 2**level)))
        views.append(F.interpolate(coarse, size=(16, 24), mode="nearest"))
    expected = F.gelu(modulation.aggr(torch.cat(views, dim=1))) * x
    torch.testing.assert_close(modulation(x), expected)


def test_a_copy_is_of_the_same_network() -> None:
    """As files and other processes compare them."""
    carn = PEERS["CARN"]
    assert copy.deepcopy(carn) is carn and pickle.loads(pickle.dumps(carn)) is carn


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: peer("CARM"), "CARM: no such network; known are plain-stack, SRCNN, "),
        (lambda: peer("FALSR-A").build(3), "scale: FALSR-A is not defined for 3; give 2"),
        (lambda: peer("CARN").build(2, 32), "channels: CARN has 64, not 32"),
        (lambda: peer("imdn").build(2, 24), "channels: 24 is not valid for IMDN; give a multiple of 16"),
        (lambda: peer("SRCNN").build(2, 64, 4), "layers: SRCNN has 3, not 4"),
        (lambda: peer("DRRN").build(2, 8, 10**9), "layers: 1000000000 is not valid for DRRN"),
    ],
)
def test_networks_that_there_are_not(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(PeerError) as error:
        build()
    assert str(error.value).startswith(message)
