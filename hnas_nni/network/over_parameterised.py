"""Convolutions that train as two in a row and are one: over-parameterisation (SESR, arXiv 2103.09404).

A 3x3 convolution to k times the channels and a 1x1 convolution back, with nothing between them, are together one 3x3
convolution. Training the two reaches better weights in as many steps than training the one. The two are multiplied out
before they meet an image, so that a step costs what it would cost with the one.

:func:`expand` and :func:`collapse` go from one form to the other; the network computes the same before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_EXPANSION = 4
"""Channels between the two convolutions, as a multiple of C."""


def over_parameterise_later(conv: nn.Module) -> None:
    """Mark a convolution as one that :func:`expand` takes apart."""
    conv.over_parameterised = True  # type: ignore[assignment]


def expand(network: nn.Module) -> None:
    """Take the marked convolutions of a network apart for a training, in place. Those that are stay so."""
    for conv in _marked(network):
        if not parametrize.is_parametrized(conv):
            parametrize.register_parametrization(conv, "weight", _Product())


def collapse(network: nn.Module) -> None:
    """Put the convolutions of a network together again, in place: plain torch, and what the cost is stated for."""
    for conv in _marked(network):
        if parametrize.is_parametrized(conv):
            _put_together(conv)


@torch.no_grad()
def _put_together(conv: Any) -> None:
    """Undo what :func:`expand` did to a convolution.

    Not by torch's own ``remove_parametrizations``, which takes the weight from the class that it has made for the
    convolution; a copy of the network, as the one that is saved while a training goes on, is of that class too.
    """
    weight, bias = conv.weight, conv.bias
    conv.__class__ = type(conv).__bases__[0]
    del conv.parametrizations, conv.bias
    conv.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format))
    conv.register_parameter("bias", bias)  # behind the weight, where it was


class _Product(nn.Module):
    """The weight of a convolution as a product of two, plus what is left of it at the start."""

    def forward(self, second: Tensor, first: Tensor, rest: Tensor) -> Tensor:
        """Return the weight ``(o, i, 3, 3)``; second is ``(o, k)``, first ``(k, i, 3, 3)``, rest as the weight."""
        return torch.einsum("ok,kihw->oihw", second, first) + rest

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return two random factors and what is left, so that the weight is what it was."""
        out, inputs, *kernel = weight.shape
        first = nn.Conv2d(inputs, _EXPANSION * out, (kernel[0], kernel[1])).weight.detach().to(weight)
        second = nn.Conv2d(_EXPANSION * out, out, 1).weight.detach().flatten(1).to(weight)
        return second, first, weight - torch.einsum("ok,kihw->oihw", second, first)


def _marked(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if getattr(module, "over_parameterised", False):
            yield module
