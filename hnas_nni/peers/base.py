"""What the networks of the literature have in common."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import nn

from hnas_nni.metrics import LUMA
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.network import DIV2K_MEAN_RGB
from hnas_nni.peers.bicubic import REACH, bicubic

Module = TypeVar("Module", bound=nn.Module)

COLOURS = 3
_LUMA = tuple(weight / 255 for weight in LUMA)
"""Weights of R, G and B in Y of BT.601, 16/255..235/255; all are 0..1."""

_LUMA_OFFSET = 16 / 255

_WEAK = 0.1


class ReleasedTensor(NamedTuple):
    """Where a tensor of the authors' release goes.

    Parameters
    ----------
    name
        Of the tensor in the network.
    axes
        Its axes in the release's tensor, so that ``released.permute(axes)`` is the network's.
    """

    name: str
    axes: tuple[int, ...]


class PeerNetwork(SuperResolutionNetwork):
    """A network of the literature.

    Parameters
    ----------
    architecture
        Its row in :mod:`hnas_nni.architecture.peers`.
    scale, channels, layers
        Upscaling factor, C and L.
    """

    not_read: tuple[str, ...] = ("sub_mean.", "add_mean.")
    """How tensors of a release begin that are constants here."""

    @property
    def is_local(self) -> bool:
        """Whether an image in tiles comes out as the whole image does."""
        return True

    def released_tensors(self) -> dict[str, ReleasedTensor]:
        """Return the network's tensors by their names in the authors' release: the same, unless it was not torch."""
        return {name: ReleasedTensor(name, tuple(range(tensor.ndim))) for name, tensor in self.state_dict().items()}


class LumaNetwork(PeerNetwork):
    """A network that sees Y alone, of BT.601 in studio range as the papers' is; MATLAB's bicubic enlarges the colours.

    The result is the bicubic image, moved along grey by as much as the network's Y differs from its own.
    """

    luma_weights: torch.Tensor

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.register_buffer("luma_weights", torch.tensor(_LUMA).view(1, COLOURS, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        large = bicubic(x, self.scale)
        luma_large = self._luma(large)
        return large + (self.enlarge(self._luma(x), luma_large) - luma_large) / sum(_LUMA)

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``, given also its interpolation, ``(n, 1, scale * h, scale * w)``."""
        raise NotImplementedError

    def _luma(self, image: torch.Tensor) -> torch.Tensor:
        return (image * self.luma_weights).sum(dim=1, keepdim=True) + _LUMA_OFFSET


class InterpolatingLumaNetwork(LumaNetwork):
    """A network that works on the interpolation of Y at high resolution."""

    high_reach: int
    """HR pixels on each side that it looks at."""

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return -(-self.high_reach // self.scale) + REACH


class MeanColour(nn.Module):
    """Subtract (sign -1) or add (sign 1) DIV2K's mean colour."""

    mean: torch.Tensor

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.register_buffer("mean", sign * torch.tensor(DIV2K_MEAN_RGB).view(1, COLOURS, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mean


def conv(inputs: int, out: int, size: int = 3, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, out, size, padding=size // 2, groups=groups, bias=bias)


@torch.no_grad()
def start_as_he(network: Module, last: nn.Conv2d) -> Module:
    """Give a new network the first weights of He et al. (arXiv 1502.01852), as its paper does; returns it.

    `last`, which writes what is added to the interpolated image, gets a tenth, so that the network begins near it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    last.weight *= _WEAK
    return network
