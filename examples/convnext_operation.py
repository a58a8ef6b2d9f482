"""Candidate operations of one's own: a ConvNeXt-like block, and a resize convolution for the upsampling cell.

Importing this module adds them to the search space. `own_operations.py` does so; for NNI's trials and the `hnas`
command, which are processes of their own, name the module in a variable:

    export HNAS_OPERATIONS=convnext_operation PYTHONPATH=examples
    hnas show winner.json
"""

from __future__ import annotations

import torch
from torch import nn

from hnas_nni import register_normal, register_upsampling


class ConvNeXtBlock(nn.Module):
    """``x + mlp(depthwise 7x7(x))`` (Liu et al., arXiv 2201.03545), without the layer norm: super-resolution has none.

    ``(n, C, h, w)`` to ``(n, C, h, w)``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.mlp = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.GELU(), nn.Conv2d(2 * channels, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the block computes to its input."""
        return x + self.mlp(self.depthwise(x))


class ResizeConv(nn.Sequential):
    """Nearest neighbours, then a 3x3 convolution: no checkerboard patterns (Odena et al., Distill, 2016).

    ``(n, C, h, w)`` to ``(n, C, scale * h, scale * w)``; scale 1 is for edges that keep the size.
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__(nn.Upsample(scale_factor=scale), nn.Conv2d(channels, channels, 3, padding=1))


# A factory gets C and the scale. `reach` is how far the operation looks, here (7 - 1) / 2 pixels and 1 pixel: large
# images are upscaled in tiles, which overlap by as much as the whole network looks.
register_normal("convnext", lambda channels, scale: ConvNeXtBlock(channels), label="ConvNeXt", reach=3)
register_upsampling("resize_conv", ResizeConv, label="resize + conv", reach=1)
