"""SelNet (Choi and Kim, CVPR Workshops 2017): residual units whose activations are selection units.

Its layers follow from the paper's description and from its published counts at x2, x3 and x4, which they give to the
last digit: 3x3 convolutions, 21 of them with a selection unit behind it, one before the pixel shuffle and one behind
it, on RGB.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, PeerNetwork, conv, start_as_he
from hnas_nni.peers.bicubic import bicubic


class SelectionUnit(nn.Module):
    """What lets features through: the input times the sigmoid of a 1x1 convolution of its ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.select = conv(channels, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.select(F.relu(x)))


class SelNet(PeerNetwork):
    """SelNet: L = 10 residual units of C = 64 channels; the interpolated image is added.

    The published count has no biases.
    """

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.head = nn.Sequential(conv(COLOURS, channels, bias=False), SelectionUnit(channels))
        self.units = nn.ModuleList(
            nn.Sequential(
                conv(channels, channels, bias=False),
                SelectionUnit(channels),
                conv(channels, channels, bias=False),
                SelectionUnit(channels),
            )
            for _ in range(layers)
        )
        last = conv(channels, COLOURS, bias=False)
        self.tail = nn.Sequential(conv(channels, channels * scale**2, bias=False), nn.PixelShuffle(scale), last)
        start_as_he(self, last)

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return 1 + 2 * self.layers + 1 + 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = self.head(x)
        for unit in self.units:
            features = features + unit(features)
        result: torch.Tensor = bicubic(x, self.scale) + self.tail(features)
        return result
