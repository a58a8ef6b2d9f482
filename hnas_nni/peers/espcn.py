"""ESPCN (Shi et al., CVPR 2016, arXiv 1609.05158): two convolutions, and one before a pixel shuffle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, LumaNetwork, conv
from hnas_nni.peers.by_hand import ByHand

_REACH = 4


class ESPCN(LumaNetwork):
    """ESPCN on Y, as in the paper: 5x5 to C channels, 3x3 to C/2, 3x3 to s^2; C = 64."""

    reach = _REACH

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.body = nn.Sequential(*_body(1, scale, channels))

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        return F.pixel_shuffle(self.body(luma), self.scale)


class ESPCNOnRGB(ByHand):
    """ESPCN on RGB, interpolation of the input added."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers, _body(COLOURS, scale, channels), _REACH)


def _body(colours: int, scale: int, channels: int) -> list[nn.Module]:
    half = channels // 2
    return [
        conv(colours, channels, 5),
        nn.Tanh(),
        conv(channels, half),
        nn.Tanh(),
        conv(half, colours * scale**2),
    ]
