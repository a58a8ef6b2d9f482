"""The frame of networks that people write by hand to be held against searched ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.network.efficient_network import interpolated
from hnas_nni.peers.base import COLOURS, PeerNetwork
from hnas_nni.peers.bicubic import REACH

_GREY = 0.45
_WEAK = 0.1
"""Share of torch's first weights in what writes the image: with all of them a network starts far below bicubic."""


class ByHand(PeerNetwork):
    """A body at low resolution, to ``3 s^2`` channels, pixel shuffle, plus bicubic interpolation of the input.

    Parameters
    ----------
    architecture, scale, channels, layers
        As for :class:`hnas_nni.peers.base.PeerNetwork`.
    body
        Its modules, ``(n, 3, h, w)`` to ``(n, 3 s^2, h, w)``, or to the image itself.
    body_reach
        LR pixels on each side that the body looks at.
    """

    def __init__(
        self, architecture: Architecture, scale: int, channels: int, layers: int, body: list[nn.Module], body_reach: int
    ) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.body = nn.Sequential(*body)
        self._body_reach = body_reach
        last = [module for module in self.body.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))][-1]
        with torch.no_grad():
            last.weight *= _WEAK

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return max(self._body_reach, REACH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        image = self.body(x - _GREY)
        if image.shape[1] != COLOURS:
            image = F.pixel_shuffle(image, self.scale)
        return image + interpolated(x, self.scale)
