"""IMDN (Hui et al., ACM Multimedia 2019, arXiv 1909.11856): blocks that set a part of their channels aside."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, PeerNetwork, conv

SLOPE = 0.05
"""Of the leaky ReLUs."""

_LEAST_VARIANCE = 1e-12
"""Below it the root has no finite gradient."""


class ContrastAttention(nn.Module):
    """Weigh channels by their mean and standard deviation over the image.

    Parameters
    ----------
    channels
        Of input and output.
    reduction
        By how much fewer the attention computes with.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        reduced = channels // reduction
        self.conv_du = nn.Sequential(conv(channels, reduced, 1), nn.ReLU(), conv(reduced, channels, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = (x - mean).square().mean(dim=(2, 3), keepdim=True)
        weights: torch.Tensor = self.conv_du(mean + variance.clamp_min(_LEAST_VARIANCE).sqrt())
        return x * weights


class _Distillation(nn.Module):
    """Four convolutions; a quarter of the channels of each is set aside, and the rest goes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._parts = [channels // 4, channels - channels // 4]
        kept, rest = self._parts
        self.c1 = conv(channels, channels)
        self.c2, self.c3 = conv(rest, channels), conv(rest, channels)
        self.c4 = conv(rest, kept)
        self.c5 = conv(4 * kept, channels, 1)
        self.cca = ContrastAttention(4 * kept, reduction=16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        rest = x
        for layer in (self.c1, self.c2, self.c3):
            part, rest = F.leaky_relu(layer(rest), SLOPE).split(self._parts, dim=1)
            kept.append(part)
        kept.append(self.c4(rest))
        result: torch.Tensor = self.c5(self.cca(torch.cat(kept, dim=1))) + x
        return result


class DistillationNetwork(PeerNetwork):
    """Blocks whose outputs are put together by a 1x1 convolution; the image is written by one convolution.

    Parameters
    ----------
    architecture, scale, channels, layers
        As for :class:`hnas_nni.peers.base.PeerNetwork`.
    block
        ``block(channels)`` makes a block.
    name
        What the blocks' tensors are called, before their number.
    """

    is_local = False  # the attention looks at the whole image
    reach = 0

    def __init__(
        self,
        architecture: Architecture,
        scale: int,
        channels: int,
        layers: int,
        block: Callable[[int], nn.Module],
        name: str,
    ) -> None:
        super().__init__(architecture, scale, channels, layers)
        self._blocks = [f"{name}{number}" for number in range(1, layers + 1)]
        self.fea_conv = conv(COLOURS, channels)
        for each in self._blocks:
            self.add_module(each, block(channels))
        self.c = nn.Sequential(conv(channels * layers, channels, 1), nn.LeakyReLU(SLOPE))
        self.LR_conv = conv(channels, channels)
        self.upsampler = nn.Sequential(conv(channels, COLOURS * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        first = features = self.fea_conv(x)
        seen = []
        for each in self._blocks:
            features = self.get_submodule(each)(features)
            seen.append(features)
        result: torch.Tensor = self.upsampler(self.LR_conv(self.c(torch.cat(seen, dim=1))) + first)
        return result


class IMDN(DistillationNetwork):
    """IMDN: L = 6 blocks of C = 64 channels."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers, _Distillation, "IMDB")
