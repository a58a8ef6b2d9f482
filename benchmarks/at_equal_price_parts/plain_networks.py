"""Networks that people write by hand, in plain torch, made for a budget: the comparators of a search.

All add bicubic interpolation of the input to their output, as the efficient space does, and what writes the image
starts at a tenth of torch's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.cost import Cost, profile

_SIDE = 480


class ByHand(nn.Module):
    """A body at low resolution, to ``3 s^2`` channels, pixel shuffle, plus bicubic of the input.

    Parameters
    ----------
    scale
        s.
    layers
        The body, ``(n, 3, h, w)`` to ``(n, 3 s^2, h, w)``.
    """

    def __init__(self, scale: int, *layers: nn.Module) -> None:
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(*layers)
        last = [module for module in self.body.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))][-1]
        with torch.no_grad():
            last.weight *= 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = self.body(x - 0.45)
        if image.shape[1] != 3:
            image = F.pixel_shuffle(image, self.scale)
        return image + F.interpolate(x, scale_factor=self.scale, mode="bicubic", align_corners=False)


class Written(NamedTuple):
    """A network that was written by hand: what it is called and how it is made."""

    name: str
    build: Callable[[], nn.Module]

    def cost(self) -> Cost:
        """Return its cost at a 3x480x480 input."""
        with torch.device("meta"):
            return profile(self.build(), torch.zeros(1, 3, _SIDE, _SIDE, device="meta"))


def plain_stack(width: int, depth: int, scale: int) -> Written:
    """3x3 convolutions of one width with a PReLU each."""

    def build() -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        return ByHand(scale, *layers, nn.Conv2d(width, 3 * scale**2, 3, padding=1))

    return Written(f"plain stack, {depth} x {width}", build)


def espcn(width: int, scale: int) -> Written:
    """ESPCN (Shi et al., CVPR 2016, arXiv 1609.05158) on RGB: 5x5 to C, 3x3 to C/2, 3x3; 64 and 32 in the paper."""

    def build() -> nn.Module:
        half = width // 2
        return ByHand(
            scale,
            nn.Conv2d(3, width, 5, padding=2),
            nn.Tanh(),
            nn.Conv2d(width, half, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(half, 3 * scale**2, 3, padding=1),
        )

    return Written(f"ESPCN, {width} channels", build)


def fsrcnn(width: int, scale: int) -> Written:
    """FSRCNN (Dong et al., ECCV 2016, arXiv 1608.00367) on RGB: d = C, s = 12/56 C, m = 4; 56 in the paper."""

    def build() -> nn.Module:
        shrunk = max(3, round(width * 12 / 56))
        layers: list[nn.Module] = [nn.Conv2d(3, width, 5, padding=2), nn.PReLU(width)]
        layers += [nn.Conv2d(width, shrunk, 1), nn.PReLU(shrunk)]
        for _ in range(4):
            layers += [nn.Conv2d(shrunk, shrunk, 3, padding=1), nn.PReLU(shrunk)]
        layers += [nn.Conv2d(shrunk, width, 1), nn.PReLU(width)]
        tail = nn.ConvTranspose2d(width, 3, 9, stride=scale, padding=4, output_padding=scale - 1)
        return ByHand(scale, *layers, tail)

    return Written(f"FSRCNN, {width} channels", build)


def plain_stacks(budget: float, scale: int) -> Iterator[Written]:
    """Yield for each width the deepest plain stack within a budget in GMAC, if it uses four fifths of it."""
    for width in (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64):
        for depth in range(30, 0, -1):
            stack = plain_stack(width, depth, scale)
            if stack.cost().gmacs <= budget:
                if stack.cost().gmacs >= 0.8 * budget:
                    yield stack
                break


def widest(make: Callable[[int, int], Written], budget: float, scale: int) -> Written:
    """Return the widest network of a kind within a budget in GMAC."""
    fitting = [made for width in range(4, 257, 2) if (made := make(width, scale)).cost().gmacs <= budget]
    return fitting[-1]
