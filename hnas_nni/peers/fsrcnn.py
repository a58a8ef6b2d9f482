"""FSRCNN (Dong et al., ECCV 2016, arXiv 1608.00367): narrow 3x3 convolutions, and a transposed 9x9 one."""

from __future__ import annotations

import torch
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, LumaNetwork, conv
from hnas_nni.peers.by_hand import ByHand

_FIRST, _LAST = 2, 2
"""LR pixels on each side that the 5x5 and the transposed convolution look at."""


class FSRCNN(LumaNetwork):
    """FSRCNN on Y, as in the paper: d = C = 56, s = 12/56 C, m = L = 4."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.body = nn.Sequential(*_body(1, scale, channels, layers))

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return _FIRST + self.layers + _LAST

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        result: torch.Tensor = self.body(luma)
        return result


class FSRCNNOnRGB(ByHand):
    """FSRCNN on RGB, interpolation of the input added."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        body = _body(COLOURS, scale, channels, layers)
        super().__init__(architecture, scale, channels, layers, body, _FIRST + layers + _LAST)


def _body(colours: int, scale: int, channels: int, layers: int) -> list[nn.Module]:
    shrunk = max(3, round(channels * 12 / 56))
    body: list[nn.Module] = [conv(colours, channels, 5), nn.PReLU(channels)]
    body += [conv(channels, shrunk, 1), nn.PReLU(shrunk)]
    for _ in range(layers):
        body += [conv(shrunk, shrunk), nn.PReLU(shrunk)]
    body += [conv(shrunk, channels, 1), nn.PReLU(channels)]
    body.append(nn.ConvTranspose2d(channels, colours, 9, stride=scale, padding=4, output_padding=scale - 1))
    return body
