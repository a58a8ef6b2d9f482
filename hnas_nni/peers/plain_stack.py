"""The plain stack: what one writes down first, and what a search has to beat."""

from __future__ import annotations

from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, conv
from hnas_nni.peers.by_hand import ByHand


class PlainStack(ByHand):
    """A 3x3 convolution to C channels, L of C channels, with a PReLU each, and one that writes the image."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        body: list[nn.Module] = [conv(COLOURS, channels), nn.PReLU(channels)]
        for _ in range(layers):
            body += [conv(channels, channels), nn.PReLU(channels)]
        body.append(conv(channels, COLOURS * scale**2))
        super().__init__(architecture, scale, channels, layers, body, layers + 2)
