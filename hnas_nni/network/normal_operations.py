"""Operations of the normal cell: they keep the resolution, ``(n, C, h, w)`` to ``(n, C, h, w)``.

All are made for C channels and the upscaling factor of the network, which few of them use.
"""

from __future__ import annotations

import torch
from torch import nn


def _depthwise(channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=channels,
        bias=False,
    )


def _pointwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 1, bias=False)


class DilatedConv(nn.Sequential):
    """ReLU, depthwise convolution with dilation 2, pointwise convolution (DARTS, arXiv 1806.09055).

    Parameters
    ----------
    channels, scale
        C, and the network's upscaling factor.
    kernel_size
        3 or 5; the receptive field is 5 or 9.
    """

    def __init__(self, channels: int, scale: int, kernel_size: int) -> None:
        super().__init__(nn.ReLU(), _depthwise(channels, kernel_size, dilation=2), _pointwise(channels))


class SeparableConv(nn.Sequential):
    """ReLU, depthwise, pointwise convolution, all twice (DARTS, arXiv 1806.09055), without batch norm.

    Parameters
    ----------
    channels, scale
        C, and the network's upscaling factor.
    kernel_size
        3 or 5.
    """

    def __init__(self, channels: int, scale: int, kernel_size: int) -> None:
        super().__init__(
            nn.ReLU(),
            _depthwise(channels, kernel_size),
            _pointwise(channels),
            nn.ReLU(),
            _depthwise(channels, kernel_size),
            _pointwise(channels),
        )


class ResidualChannelAttentionBlock(nn.Module):
    """Residual block with channel attention (RCAN, arXiv 1807.02758, section 3.3).

    ``x + conv(relu(conv(x))) * attention``, the attention being C -> C/3 -> C on the global average.

    Parameters
    ----------
    channels, scale
        C, and the network's upscaling factor.
    """

    REDUCTION = 3

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        squeezed = max(channels // self.REDUCTION, 1)
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.body(x)
        return x + residual * self.attention(residual)


_PROJECTION = {2: (6, 2, 2), 3: (7, 3, 2), 4: (8, 4, 2)}
"""Kernel size, stride and padding by scale (DBPN, arXiv 1803.02735, section 4.1)."""


def _project_up(channels: int, scale: int) -> nn.Sequential:
    kernel_size, stride, padding = _PROJECTION[scale]
    return nn.Sequential(nn.ConvTranspose2d(channels, channels, kernel_size, stride, padding), nn.PReLU())


def _project_down(channels: int, scale: int) -> nn.Sequential:
    kernel_size, stride, padding = _PROJECTION[scale]
    return nn.Sequential(nn.Conv2d(channels, channels, kernel_size, stride, padding), nn.PReLU())


class UpDownProjection(nn.Module):
    """An up-projection unit and a down-projection unit (DBPN, arXiv 1803.02735, equations 1-10).

    Each unit projects, projects back, and corrects the result by the projected error. In between, the maps are
    `scale` times larger, so this is by far the most expensive candidate.

    Parameters
    ----------
    channels
        C.
    scale
        Size of the intermediate maps in relation to the input: 2, 3 or 4.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.up = _project_up(channels, scale)
        self.up_back = _project_down(channels, scale)
        self.up_error = _project_up(channels, scale)
        self.down = _project_down(channels, scale)
        self.down_back = _project_up(channels, scale)
        self.down_error = _project_down(channels, scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = self.up(x)
        high = high + self.up_error(self.up_back(high) - x)
        low = self.down(high)
        return low + self.down_error(self.down_back(low) - high)
