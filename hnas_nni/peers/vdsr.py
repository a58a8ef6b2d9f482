"""VDSR (Kim et al., CVPR 2016, arXiv 1511.04587): twenty convolutions on the interpolated Y, which is added."""

from __future__ import annotations

import torch
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import InterpolatingLumaNetwork, conv, start_as_he


class VDSR(InterpolatingLumaNetwork):
    """VDSR: L = 20 convolutions of 3x3, C = 64 channels between them. The published count has no biases."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        body: list[nn.Module] = [conv(1, channels, bias=False), nn.ReLU()]
        for _ in range(layers - 2):
            body += [conv(channels, channels, bias=False), nn.ReLU()]
        last = conv(channels, 1, bias=False)
        self.body = nn.Sequential(*body, last)
        self.high_reach = layers
        start_as_he(self, last)

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        result: torch.Tensor = interpolated + self.body(interpolated)
        return result
