"""SRCNN (Dong et al., TPAMI 2016, arXiv 1501.00092): three convolutions on the interpolated Y."""

from __future__ import annotations

import torch
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import InterpolatingLumaNetwork, conv, start_as_he


class SRCNN(InterpolatingLumaNetwork):
    """SRCNN with kernels of 9, 5 and 5, the largest of the paper: C and C/2 channels, 64 and 32.

    What it computes is added to the interpolated image, which the paper's network has to carry through: short trainings
    get nowhere otherwise. Layers and counts are the paper's.
    """

    high_reach = 8

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        last = conv(channels // 2, 1, 5)
        self.body = nn.Sequential(conv(1, channels, 9), nn.ReLU(), conv(channels, channels // 2, 5), nn.ReLU(), last)
        start_as_he(self, last)

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        result: torch.Tensor = interpolated + self.body(interpolated)
        return result
