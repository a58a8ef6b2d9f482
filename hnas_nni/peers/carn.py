"""CARN and CARN-M (Ahn et al., ECCV 2018, arXiv 1803.08664): blocks that cascade into 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import COLOURS, MeanColour, PeerNetwork, conv
from hnas_nni.peers.edsr import upsampling_reach
from hnas_nni.settings.shared import SCALES

_UNITS = 3
"""Residual blocks of a block, and blocks of the network."""


class _Pointwise(nn.Module):
    """1x1 convolution and ReLU."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(inputs, out, 1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x)
        return result


class _Residual(nn.Module):
    """Convolutions plus the input, then ReLU. With groups a 1x1 convolution follows that mixes them."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        body: list[nn.Module] = [conv(channels, channels, groups=groups), nn.ReLU()]
        body.append(conv(channels, channels, groups=groups))
        if groups > 1:
            body += [nn.ReLU(), conv(channels, channels, 1)]
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + x)


def _add_units(owner: nn.Module, channels: int, make: Callable[[], nn.Module], shared: bool) -> None:
    """Add units to a module, each followed by a 1x1 convolution of all that came before.

    Parameters
    ----------
    owner
        The module.
    channels
        C.
    make
        Makes a unit.
    shared
        Whether it is one unit, applied again.
    """
    for number in range(1, 2 if shared else _UNITS + 1):
        owner.add_module(f"b{number}", make())
    for number in range(1, _UNITS + 1):
        owner.add_module(f"c{number}", _Pointwise((number + 1) * channels, channels))


def _run_units(owner: nn.Module, shared: bool, x: torch.Tensor) -> torch.Tensor:
    seen = out = x
    for number in range(1, _UNITS + 1):
        seen = torch.cat([seen, owner.get_submodule("b1" if shared else f"b{number}")(out)], dim=1)
        out = owner.get_submodule(f"c{number}")(seen)
    return out


class _Block(nn.Module):
    """A cascade of residual blocks, or of one that is applied three times."""

    def __init__(self, channels: int, groups: int, shared: bool) -> None:
        super().__init__()
        self._shared = shared
        _add_units(self, channels, lambda: _Residual(channels, groups), shared)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _run_units(self, self._shared, x)


class _Upsampling(nn.Module):
    """Convolutions and pixel shuffles with a ReLU between them."""

    def __init__(self, channels: int, scale: int, groups: int) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            body += [conv(channels, channels * factor**2, groups=groups), nn.ReLU(), nn.PixelShuffle(factor)]
        self.body = nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x)
        return result


class CARN(PeerNetwork):
    """CARN. One network upscales by 2, 3 and 4, with an end for each: the published count holds all three.

    Parameters
    ----------
    architecture, scale, channels, layers
        As for :class:`hnas_nni.peers.base.PeerNetwork`; the end for `scale` is used, and trained.
    groups
        Of the 3x3 convolutions.
    shared
        Whether a block is one residual block, applied three times.
    """

    def __init__(
        self,
        architecture: Architecture,
        scale: int,
        channels: int,
        layers: int,
        groups: int = 1,
        shared: bool = False,
    ) -> None:
        super().__init__(architecture, scale, channels, layers)
        self.sub_mean, self.add_mean = MeanColour(-1), MeanColour(1)
        self.entry = conv(COLOURS, channels)
        _add_units(self, channels, lambda: _Block(channels, groups, shared), shared=False)
        self.upsample = nn.ModuleDict({f"up{end}": _Upsampling(channels, end, groups) for end in SCALES})
        self.exit = conv(channels, COLOURS)

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return 1 + 2 * _UNITS * _UNITS + upsampling_reach(self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = _run_units(self, False, self.entry(self.sub_mean(x)))
        result: torch.Tensor = self.add_mean(self.exit(self.upsample[f"up{self.scale}"](features)))
        return result


class CARNM(CARN):
    """CARN-M, the mobile one: 4 groups, and a block is one residual block. The published count has no biases."""

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers, groups=4, shared=True)
