"""Candidate operations of the two cells, by name; C channels in and C channels out, stride one or upsampling."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from hnas_nni.architecture.own_operations import own_operation, register_normal, register_upsampling, unregister
from hnas_nni.network.normal_operations import (
    DilatedConv,
    ResidualChannelAttentionBlock,
    SeparableConv,
    UpDownProjection,
)
from hnas_nni.network.upsampling_operations import Deconv, Interpolation, SubPixelConv

_NORMAL: dict[str, Callable[[int, int], nn.Module]] = {
    "identity": lambda channels, scale: nn.Identity(),
    "dil_conv_3x3": lambda channels, scale: DilatedConv(channels, kernel_size=3),
    "dil_conv_5x5": lambda channels, scale: DilatedConv(channels, kernel_size=5),
    "sep_conv_3x3": lambda channels, scale: SeparableConv(channels, kernel_size=3),
    "sep_conv_5x5": lambda channels, scale: SeparableConv(channels, kernel_size=5),
    "up_down_projection": UpDownProjection,
    "rcab": lambda channels, scale: ResidualChannelAttentionBlock(channels),
}

_UPSAMPLING: dict[str, Callable[[int, int], nn.Module]] = {
    "area": lambda channels, scale: Interpolation("area", scale),
    "bilinear": lambda channels, scale: Interpolation("bilinear", scale),
    "nearest": lambda channels, scale: Interpolation("nearest", scale),
    "deconv": Deconv,
    "subpixel": SubPixelConv,
}


def normal_operation(name: str, channels: int, scale: int) -> nn.Module:
    """Make a candidate of the normal cell.

    Parameters
    ----------
    name
        One of :data:`hnas_nni.architecture.genotype.NORMAL_OPERATIONS`, or registered with
        :func:`hnas_nni.architecture.own_operations.register_normal`.
    channels
        C, channels in and out.
    scale
        Upscaling factor of the network; only the up-and-down projection uses it, and keeps the size all the same.
    """
    own = own_operation(name)
    return (own.factory if own else _NORMAL[name])(channels, scale)


def upsampling_operation(name: str, channels: int, scale: int) -> nn.Module:
    """Make a candidate of the upsampling cell.

    Parameters
    ----------
    name
        One of :data:`hnas_nni.architecture.genotype.UPSAMPLING_OPERATIONS`, or registered with
        :func:`hnas_nni.architecture.own_operations.register_upsampling`.
    channels
        C, channels in and out.
    scale
        How much the operation upsamples: the network's scale if the edge reads an input node of the cell, 1 if it
        reads an intermediate node.
    """
    own = own_operation(name)
    return (own.factory if own else _UPSAMPLING[name])(channels, scale)


__all__ = [
    "Deconv",
    "DilatedConv",
    "Interpolation",
    "ResidualChannelAttentionBlock",
    "SeparableConv",
    "SubPixelConv",
    "UpDownProjection",
    "normal_operation",
    "register_normal",
    "register_upsampling",
    "unregister",
    "upsampling_operation",
]
