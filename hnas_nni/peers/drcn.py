"""DRCN (Kim et al., CVPR 2016, arXiv 1511.04491): one convolution again and again, and a mean of what follows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import InterpolatingLumaNetwork, conv, start_as_he


class DRCN(InterpolatingLumaNetwork):
    """DRCN: two convolutions to C = 256 channels, one that is applied L = 16 times, two that make an image of each.

    The images, each with the interpolated Y added, are added up with weights that sum to one. The recursive convolution
    starts as the identity, as in the paper. The published count has neither biases nor the L weights of the sum.
    """

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.embed = nn.Sequential(
            conv(1, channels, bias=False), nn.ReLU(), conv(channels, channels, bias=False), nn.ReLU()
        )
        self.recur = conv(channels, channels, bias=False)
        last = conv(channels, 1, bias=False)
        self.reconstruct = nn.Sequential(conv(channels, channels, bias=False), nn.ReLU(), last)
        self.shares = nn.Parameter(torch.full((layers,), 1 / layers))
        self.high_reach = layers + 4
        start_as_he(self, last)
        nn.init.dirac_(self.recur.weight)

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        features = self.embed(interpolated)
        total = torch.zeros_like(interpolated)
        for share in self.shares:
            features = F.relu(self.recur(features))
            total = total + share * self.reconstruct(features)
        return interpolated + total / self.shares.sum()
