"""Candidate operations of one's own, beside those of this package.

:func:`register_normal` and :func:`register_upsampling` add a row to the table of operations. From then on genotypes and
their files, :class:`search_spaces.HNASSpace`, costs, tiling and pictures know it; genotypes made before stay what they
are.

A registration lasts as long as the process; see :mod:`hnas_nni.architecture.own_modules` for other processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from hnas_nni.architecture.operation import Operation, operation_scales
from hnas_nni.architecture.operations import AS_BUILT, OPERATIONS, PASS_THROUGH, add_operation, remove_operation
from hnas_nni.architecture.spaces import EFFICIENT, PAPER, SPACES

_SPARE_COLOURS = ("#109cec", "#383810", "#241010", "#ececd8")
"""As far from the other operations' colours as there is room."""

_PROBE_CHANNELS = 6
_PROBE_LUMA = 1
_PROBE_SIZE = (5, 8)


def register_normal(
    name: str,
    factory: Callable[[int, int], nn.Module],
    *,
    label: str | None = None,
    colour: str | None = None,
    reach: int | Mapping[int, int | Fraction] | None = None,
    first_weights: Callable[[Any], None] | None = None,
    space: str = PAPER.name,
) -> None:
    """Add a candidate to the normal cell.

    Parameters
    ----------
    name
        Its name in genotypes: letters, digits and underscores.
    factory
        ``factory(channels, scale)`` makes the module, ``(n, C, h, w)`` to ``(n, C, h, w)`` for any h and w; the scale
        is the network's. Its multiply-adds must be in proportion to the pixels, as those of convolutions are.
    label
        What pictures and texts call it, at most 15 characters; its name by default.
    colour
        ``#rrggbb`` in pictures, of no other operation of the space; a spare one by default.
    reach
        How many pixels beyond its own an output pixel depends on, e.g. 3 for a 7x7 convolution, or by scale. Tiles of
        large images overlap by as much as they need. None, the default, is for operations that look at the whole image,
        such as channel attention: tiles then differ from the whole.
    first_weights
        ``first_weights(module)`` makes a new module start close to the identity. By default its convolutions hand their
        channels through. Networks of the efficient space start as an interpolation whatever they are made of, and leave
        a module as it was built.
    space
        "paper" or "efficient".

    Raises
    ------
    ValueError
        If the name, label, colour or reach is taken or not valid, there is no such space, or the module does not keep
        the shape; the message says which.

    Examples
    --------
    >>> from torch import nn
    >>> register_normal("conv_1x1", lambda channels, scale: nn.Conv2d(channels, channels, 1), reach=0)
    >>> from hnas_nni import Genotype
    >>> "conv_1x1" in {edge.operation for seed in range(9) for edge in Genotype.random(seed).normal.edges}
    True
    >>> unregister("conv_1x1")
    """
    _register(name, "normal", factory, label, colour, reach, first_weights, space)


def register_upsampling(
    name: str,
    factory: Callable[..., nn.Module],
    *,
    label: str | None = None,
    colour: str | None = None,
    reach: int | Mapping[int, int | Fraction] | None = None,
    first_weights: Callable[[Any], None] | None = None,
    space: str = PAPER.name,
) -> None:
    """Add a candidate to the upsampling cell.

    Parameters
    ----------
    name, label, colour, reach, first_weights, space
        As for :func:`register_normal`.
    factory
        ``factory(channels, scale)`` makes the module, ``(n, C, h, w)`` to ``(n, C, scale * h, scale * w)``. The scale
        is 2, 3 or 4 where the edge reads an input node of the cell and 1 where it reads an intermediate node. In the
        efficient space ``factory(channels, scale, out=...)`` makes one to ``(n, out, scale * h, scale * w)``, where
        `out` is 1 if the image follows and C else; at scale 1 it is given `out` channels too.

    Raises
    ------
    ValueError
        As for :func:`register_normal`.
    """
    _register(name, "upsampling", factory, label, colour, reach, first_weights, space)


def unregister(name: str) -> None:
    """Take an operation out of the space again.

    Raises
    ------
    ValueError
        If it was not registered.
    """
    remove_operation(name)


def _register(
    name: str,
    cell: str,
    factory: Callable[..., nn.Module],
    label: str | None,
    colour: str | None,
    reach: int | Mapping[int, int | Fraction] | None,
    first_weights: Callable[[Any], None] | None,
    space: str,
) -> None:
    if space not in SPACES:
        raise ValueError(f"{name}: space {space!r} is not valid; give one of {', '.join(SPACES)}")
    if colour is None:
        taken = {operation.colour for operation in OPERATIONS.values() if operation.space is SPACES[space]}
        colour = next((spare for spare in _SPARE_COLOURS if spare not in taken), None)
        if colour is None:
            raise ValueError(f"{name}: all spare colours are taken; give a colour, as #rrggbb")
    if first_weights is None:
        first_weights = PASS_THROUGH if space == PAPER.name else AS_BUILT
    operation = Operation(
        name=name,
        cell=cell,
        space=SPACES[space],
        factory=factory,
        label=name if label is None else label,
        colour=colour,
        reach=0 if reach is None else reach,
        whole_image=reach is None,
        first_weights=first_weights,
    )
    if operation.cell == "upsampling" and operation.space is EFFICIENT:
        for out in (_PROBE_LUMA, _PROBE_CHANNELS):
            _try(operation, out, {"out": out})
    else:
        _try(operation, _PROBE_CHANNELS, {})
    add_operation(operation)


def _try(operation: Operation, out: int, more: dict[str, int]) -> None:
    """Run the operation at every scale; on torch's meta device only shapes are followed.

    `out` are the channels that it gives, and that it is given where it reads an intermediate node; `more` is what else
    its factory takes.
    """
    name, (height, width) = operation.name, _PROBE_SIZE
    # Scale 1 comes last: a module that does not heed `out` would fail there with an error of torch.
    for scale in sorted(operation_scales(operation.cell), key=lambda scale: bool(more) and scale == 1):
        grown = scale if operation.cell == "upsampling" else 1
        x = torch.zeros(1, out if scale == 1 else _PROBE_CHANNELS, height, width, device="meta")
        with torch.device("meta"):
            module = operation.factory(_PROBE_CHANNELS, scale, **more)
        if not isinstance(module, nn.Module):
            raise ValueError(f"{name}: its factory gives a {type(module).__name__}; give a torch.nn.Module")
        shape, expected = tuple(module(x).shape), (1, out, height * grown, width * grown)
        if shape != expected:
            raise ValueError(
                f"{name}: turns {tuple(x.shape)} into {shape} at scale {scale}; an operation of the {operation.cell} "
                f"cell gives {expected}"
            )
