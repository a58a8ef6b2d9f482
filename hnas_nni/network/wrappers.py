"""Our network inside what torch wraps around one: compiled, or run on several devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hnas_nni.network.base import SuperResolutionNetwork

_INSIDE = ("_orig_mod", "module")
"""Where torch.compile, and DataParallel, DistributedDataParallel and AveragedModel keep the network."""


def plain_network(network: Any) -> SuperResolutionNetwork:
    """Return the network itself, which shares its weights with what wraps it.

    Raises
    ------
    ValueError
        If it is none of ours, has no weights (on torch's meta device), or its weights are of several types, or of one
        that is not floating point of at least 16 bits.
    """
    inner = network
    while not isinstance(inner, SuperResolutionNetwork):
        name = next((name for name in _INSIDE if isinstance(getattr(inner, name, None), nn.Module)), None)
        if name is None or not isinstance(inner, nn.Module):
            raise ValueError(
                f"{type(inner).__name__} is no network of hnas_nni; give one of Genotype.build or hnas_nni.load"
            )
        inner = getattr(inner, name)
    if any(parameter.is_meta for parameter in inner.parameters()):
        raise ValueError("the network is on the meta device, which holds no weights; build or load it on another")
    dtypes = {parameter.dtype for parameter in inner.parameters()}
    if len(dtypes) != 1 or any(not dtype.is_floating_point or dtype.itemsize < 2 for dtype in dtypes):
        found = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(f"the network's weights are of the types {found}; convert them to one, by network.float()")
    return inner


def dtype_of(network: nn.Module) -> torch.dtype:
    """Return the type of a network's weights, which its images must have too."""
    return next(network.parameters()).dtype
