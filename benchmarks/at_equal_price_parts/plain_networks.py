"""Networks that people write by hand, made for a budget: the comparators of a search.

They are those of :mod:`hnas_nni.peers`; all add bicubic interpolation of the input to their output, as the efficient
space does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from torch import nn

from hnas_nni.architecture.peers import PEERS
from hnas_nni.cost import Cost


class Written(NamedTuple):
    """A network that was written by hand: what it is called, how it is made, and its cost at a 3x480x480 input."""

    name: str
    build: Callable[[], nn.Module]
    cost: Callable[[], Cost]


def plain_stack(width: int, depth: int, scale: int) -> Written:
    """3x3 convolutions of one width with a PReLU each."""
    return _written(f"plain stack, {depth} x {width}", "plain-stack", scale, width, depth)


def espcn(width: int, scale: int) -> Written:
    """ESPCN on RGB: 5x5 to C, 3x3 to C/2, 3x3; 64 and 32 in the paper."""
    return _written(f"ESPCN, {width} channels", "ESPCN-RGB", scale, width)


def fsrcnn(width: int, scale: int) -> Written:
    """FSRCNN on RGB: d = C, s = 12/56 C, m = 4; 56 in the paper."""
    return _written(f"FSRCNN, {width} channels", "FSRCNN-RGB", scale, width)


def plain_stacks(budget: float, scale: int) -> Iterator[Written]:
    """Yield for each width the deepest plain stack within a budget in GMAC, if it uses four fifths of it."""
    for width in (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64):
        one, two = (plain_stack(width, depth, scale).cost().gmacs for depth in (1, 2))
        # Each convolution costs the same. Counting the deepest itself says that it fits.
        for depth in range(min(30, 2 + int((budget - one) / (two - one))), 0, -1):
            stack = plain_stack(width, depth, scale)
            gmacs = stack.cost().gmacs
            if gmacs <= budget:
                if gmacs >= 0.8 * budget:
                    yield stack
                break


def widest(make: Callable[[int, int], Written], budget: float, scale: int) -> Written:
    """Return the widest network of a kind within a budget in GMAC."""
    fitting = [made for width in range(4, 257, 2) if (made := make(width, scale)).cost().gmacs <= budget]
    return fitting[-1]


def _written(name: str, peer: str, *sizes: int) -> Written:
    return Written(name, partial(PEERS[peer].build, *sizes), partial(PEERS[peer].cost, *sizes))
