"""SAFMN (Sun et al., ICCV 2023, arXiv 2302.13800): features weighed by what coarser views of them say."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, PeerNetwork, conv

_LEVELS = 4
_EPSILON = 1e-6


class _ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=1, keepdim=True) + _EPSILON).sqrt()
        return scaled * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class _Modulation(nn.Module):
    """A quarter of the channels each at 1, 1/2, 1/4 and 1/8 of the size, then put together, weighs the input.

    Where a side is no multiple of 8 the last windows of the pooling are cut; the authors' code spreads all of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        part = channels // _LEVELS
        self.mfr = nn.ModuleList(conv(part, part, groups=part) for _ in range(_LEVELS))
        self.aggr = conv(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        views = []
        for level, (part, weigh) in enumerate(zip(x.chunk(_LEVELS, dim=1), self.mfr, strict=True)):
            side = 2**level
            if side == 1:
                views.append(weigh(part))
                continue
            coarse = weigh(F.max_pool2d(part, side, ceil_mode=True))
            views.append(F.interpolate(coarse, scale_factor=side, mode="nearest")[..., :height, :width])
        return F.gelu(self.aggr(torch.cat(views, dim=1))) * x


class _Mixer(nn.Module):
    """A 3x3 convolution to twice the channels, GELU, and a 1x1 convolution back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ccm = nn.Sequential(conv(channels, 2 * channels), nn.GELU(), conv(2 * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.ccm(x)
        return result


class _Block(nn.Module):
    """Modulation and mixer, each behind a norm and with its input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _ChannelNorm(channels), _ChannelNorm(channels)
        self.safm = _Modulation(channels)
        self.ccm = _Mixer(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.safm(self.norm1(x)) + x
        result: torch.Tensor = self.ccm(self.norm2(x)) + x
        return result


class SAFMN(PeerNetwork):
    """SAFMN: L = 8 modules of C = 36 channels."""

    is_local = False  # where the windows of the pooling lie depends on the image's corner
    reach = 0

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.to_feat = conv(COLOURS, channels)
        self.feats = nn.Sequential(*(_Block(channels) for _ in range(layers)))
        self.to_img = nn.Sequential(conv(channels, COLOURS * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = self.to_feat(x)
        result: torch.Tensor = self.to_img(self.feats(features) + features)
        return result
