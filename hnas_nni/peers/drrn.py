"""DRRN (Tai et al., CVPR 2017): one residual unit again and again on the interpolated Y, which is added."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import InterpolatingLumaNetwork, conv, start_as_he


class DRRN(InterpolatingLumaNetwork):
    """DRRN of one recursive block: a unit of two convolutions of C = 128 channels, applied L = 25 times.

    Each application adds to the output of the block's first convolution. The published count has neither biases nor the
    batch norms of the paper, which are left out here.
    """

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.first = conv(1, channels, bias=False)
        self.unit_1 = conv(channels, channels, bias=False)
        self.unit_2 = conv(channels, channels, bias=False)
        self.last = conv(channels, 1, bias=False)
        self.high_reach = 2 * layers + 2
        start_as_he(self, self.last)

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        first = features = self.first(F.relu(interpolated))
        for _ in range(self.layers):
            features = first + self.unit_2(F.relu(self.unit_1(F.relu(features))))
        result: torch.Tensor = interpolated + self.last(F.relu(features))
        return result
