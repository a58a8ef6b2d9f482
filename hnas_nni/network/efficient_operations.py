"""Operations of the efficient space: dense convolutions at low resolution, with their activation.

Those of the normal cell take ``(n, C, h, w)`` to the same. Those of the upsampling cell take ``(n, C, h, w)`` to
``(n, out, s * h, s * w)``, and are the identity where they read an intermediate node.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from hnas_nni.network.over_parameterised import over_parameterise_later


class PlainConv(nn.Sequential):
    """3x3 convolution and PReLU.

    Parameters
    ----------
    channels, scale
        C, and the network's upscaling factor.
    dilation
        Of the convolution.
    """

    def __init__(self, channels: int, scale: int, dilation: int = 1) -> None:
        super().__init__(nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation), nn.PReLU(channels))


class CollapsibleConv(PlainConv):
    """3x3 convolution and PReLU, trained as two convolutions without anything between them (SESR, arXiv 2103.09404).

    What is built, counted and handed out is the one 3x3 convolution; see :mod:`hnas_nni.network.over_parameterised`.
    """

    def __init__(self, channels: int, scale: int, dilation: int = 1) -> None:
        super().__init__(channels, scale, dilation)
        over_parameterise_later(self[0])


class SubPixel(nn.Sequential):
    """Convolution to ``s^2 * out`` channels and pixel shuffle (ESPCN, arXiv 1609.05158); the identity at scale 1.

    Parameters
    ----------
    channels, scale, out
        C, the upscaling factor, and the channels of the output: 1 if the image follows, else C with a PReLU.
    kernel_size
        Of the convolution, odd.
    """

    def __init__(self, channels: int, scale: int, out: int, kernel_size: int) -> None:
        if scale == 1:
            super().__init__()
            return
        conv = nn.Conv2d(channels, out * scale**2, kernel_size, padding=kernel_size // 2)
        over_parameterise_later(conv)
        tail: list[Any] = [nn.PixelShuffle(scale)]
        if out == channels:
            tail.append(nn.PReLU(out))
        super().__init__(conv, *tail)
