"""EDSR (Lim et al., CVPR Workshops 2017, arXiv 1707.02921): residual blocks without batch norm."""

from __future__ import annotations

import math

import torch
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, MeanColour, PeerNetwork, conv


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), nn.ReLU(), conv(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.body(x)
        return result


class EDSR(PeerNetwork):
    """EDSR's baseline: L = 16 residual blocks of C = 64 channels, upsampled at the end by pixel shuffle."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.sub_mean, self.add_mean = MeanColour(-1), MeanColour(1)
        self.head = nn.Sequential(conv(COLOURS, channels))
        self.body = nn.Sequential(*(ResidualBlock(channels) for _ in range(layers)), conv(channels, channels))
        self.tail = nn.Sequential(upsampler(channels, scale), conv(channels, COLOURS))

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return 2 + 2 * self.layers + upsampling_reach(self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = self.head(self.sub_mean(x))
        result: torch.Tensor = self.add_mean(self.tail(features + self.body(features)))
        return result


def upsampler(channels: int, scale: int) -> nn.Sequential:
    """3x3 convolutions and pixel shuffles, C channels in and out; x4 as two x2 stages."""
    stages: list[nn.Module] = []
    for factor in (2, 2) if scale == 4 else (scale,):
        stages += [conv(channels, channels * factor**2), nn.PixelShuffle(factor)]
    return nn.Sequential(*stages)


def upsampling_reach(scale: int) -> int:
    """LR pixels on each side that :func:`upsampler` and a 3x3 convolution behind it look at."""
    return 1 + math.ceil((0.5 if scale == 4 else 0) + 1 / scale)
