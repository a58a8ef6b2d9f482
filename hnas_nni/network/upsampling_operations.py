"""Operations of the upsampling cell.

Each is made for C channels and a scale, and takes ``(n, C, h, w)`` to ``(n, C, scale * h, scale * w)``. At scale 1,
where the edge reads an intermediate node, interpolation and sub-pixel convolution are the identity and the transposed
convolution keeps the size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Interpolation(nn.Module):
    """Interpolation by `scale`, without parameters.

    Parameters
    ----------
    channels
        C; any number.
    scale
        Upscaling factor; 1 is the identity.
    mode
        "area", "bilinear" or "nearest", as :func:`torch.nn.functional.interpolate` names them.
    """

    def __init__(self, channels: int, scale: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale == 1:
            return x
        return F.interpolate(x, scale_factor=self.scale, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.mode}, scale={self.scale}"


class Deconv(nn.ConvTranspose2d):
    """Transposed convolution, padded so that the output is exactly `scale` times the input.

    The kernel is 3, or 5 for scale 4, where a kernel of 3 would leave gaps.

    Parameters
    ----------
    channels
        C, channels in and out.
    scale
        Upscaling factor and stride: 1, 2, 3 or 4.
    """

    def __init__(self, channels: int, scale: int) -> None:
        kernel_size = 5 if scale == 4 else 3
        # The output measures (h - 1) * scale - 2 * padding + kernel_size + output_padding.
        padding = max(-(-(kernel_size - scale) // 2), 0)
        super().__init__(
            channels,
            channels,
            kernel_size,
            stride=scale,
            padding=padding,
            output_padding=scale - kernel_size + 2 * padding,
        )


class SubPixelConv(nn.Sequential):
    """Sub-pixel convolution (ESPCN, arXiv 1609.05158): 3x3 convolution to scale^2 C channels, pixel shuffle.

    Scale 4 is done in two stages of 2, as in EDSR (arXiv 1707.02921).

    Parameters
    ----------
    channels
        C, channels in and out.
    scale
        Upscaling factor: 1 (the identity), 2, 3 or 4.
    """

    def __init__(self, channels: int, scale: int) -> None:
        stages = {1: (), 2: (2,), 3: (3,), 4: (2, 2)}[scale]
        layers: list[nn.Module] = []
        for stage in stages:
            layers += [nn.Conv2d(channels, channels * stage**2, 3, padding=1), nn.PixelShuffle(stage)]
        super().__init__(*layers)
