"""RFDN (Liu et al., ECCV Workshops 2020, arXiv 2009.11551): IMDN with residual convolutions and 1x1 distillation.

The counts that were published for it and for RFDN-L, at x2, x3 and x4, are those of an attention of two 1x1
convolutions to a quarter of the channels and back, as it is here. The spatial attention of the authors' released
network, which is another one (4 blocks, 50 channels), has further convolutions, and would make 566 K of the 534 K.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import conv
from hnas_nni.peers.imdn import SLOPE, ContrastAttention, DistillationNetwork


class _Distillation(nn.Module):
    """Three convolutions that add to their input; beside each, a 1x1 convolution sets half as many channels aside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        for number in (1, 2, 3):
            self.add_module(f"c{number}_d", conv(channels, half, 1))
            self.add_module(f"c{number}_r", conv(channels, channels))
        self.c4 = conv(channels, half)
        self.c5 = conv(4 * half, channels, 1)
        self.attention = ContrastAttention(channels, reduction=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        features = x
        for number in (1, 2, 3):
            kept.append(F.leaky_relu(self.get_submodule(f"c{number}_d")(features), SLOPE))
            features = F.leaky_relu(self.get_submodule(f"c{number}_r")(features) + features, SLOPE)
        kept.append(F.leaky_relu(self.c4(features), SLOPE))
        result: torch.Tensor = self.attention(self.c5(torch.cat(kept, dim=1)))
        return result


class RFDN(DistillationNetwork):
    """RFDN: L = 6 blocks of C = 48 channels (52 in RFDN-L)."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers, _Distillation, "B")
