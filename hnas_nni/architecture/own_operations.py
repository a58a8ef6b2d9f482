"""Candidate operations of one's own, beside those of the paper.

:func:`register_normal` and :func:`register_upsampling` add a candidate to the space. From then on genotypes and their
files, :class:`search_spaces.HNASSpace`, costs, tiling and pictures know it; genotypes made before stay what they are.

A registration lasts as long as the process. Trials of NNI and the ``hnas`` command are processes of their own: they
import the modules that the environment variable ``HNAS_OPERATIONS`` names, separated by commas, before anything else.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hnas_nni.architecture.genotype import CELL_OPERATIONS

if TYPE_CHECKING:
    from torch import nn

VARIABLE = "HNAS_OPERATIONS"
"""Environment variable with the modules that register operations, e.g. ``own_operations,more.operations``."""

LONGEST_LABEL = 15
"""Characters that fit into the box of an operation in pictures."""

_SPARE_COLOURS = ("#109cec", "#383810", "#241010", "#ececd8")
"""As far from the other operations' colours as there is room, as :mod:`hnas_nni.report.palette` asks."""

_PROBE_CHANNELS = 6
_PROBE_SIZE = (5, 8)


@dataclass(frozen=True)
class OwnOperation:
    """An operation that was registered.

    Parameters
    ----------
    cell
        "normal" or "upsampling".
    name
        In genotypes.
    factory
        ``factory(channels, scale)`` makes the module.
    label, colour
        In pictures.
    reach
        How many pixels of its input beyond its own an output pixel depends on; None: on the whole image.
    """

    cell: str
    name: str
    factory: Callable[[int, int], nn.Module]
    label: str
    colour: str
    reach: int | None


_registered: dict[str, OwnOperation] = {}


def own_operation(name: str) -> OwnOperation | None:
    """Return the operation of that name if it was registered, None for those of the paper."""
    return _registered.get(name)


def own_operations() -> tuple[OwnOperation, ...]:
    """Return all operations that were registered, in that order."""
    return tuple(_registered.values())


def register_normal(
    name: str,
    factory: Callable[[int, int], nn.Module],
    *,
    label: str | None = None,
    colour: str | None = None,
    reach: int | None = None,
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
        ``#rrggbb`` in pictures, of no other operation; a spare one by default.
    reach
        How many pixels beyond its own an output pixel depends on, e.g. 3 for a 7x7 convolution. Tiles of large images
        overlap by as much as they need. None, the default, is for operations that look at the whole image, such as
        channel attention: tiles then differ from the whole.

    Raises
    ------
    ValueError
        If the name, label or colour is taken or not valid, or the module does not keep the shape; the message says
        which.

    Examples
    --------
    >>> from torch import nn
    >>> register_normal("conv_1x1", lambda channels, scale: nn.Conv2d(channels, channels, 1), reach=0)
    >>> from hnas_nni import Genotype
    >>> "conv_1x1" in {edge.operation for seed in range(9) for edge in Genotype.random(seed).normal.edges}
    True
    >>> unregister("conv_1x1")
    """
    _register("normal", name, factory, label, colour, reach)


def register_upsampling(
    name: str,
    factory: Callable[[int, int], nn.Module],
    *,
    label: str | None = None,
    colour: str | None = None,
    reach: int | None = None,
) -> None:
    """Add a candidate to the upsampling cell.

    Parameters
    ----------
    name, label, colour, reach
        As for :func:`register_normal`.
    factory
        ``factory(channels, scale)`` makes the module, ``(n, C, h, w)`` to ``(n, C, scale * h, scale * w)``. The scale
        is 2, 3 or 4 where the edge reads an input node of the cell and 1 where it reads an intermediate node.

    Raises
    ------
    ValueError
        As for :func:`register_normal`.
    """
    _register("upsampling", name, factory, label, colour, reach)


def unregister(name: str) -> None:
    """Take an operation out of the space again.

    Raises
    ------
    ValueError
        If it was not registered.
    """
    if name not in _registered:
        raise ValueError(f"{name}: was not registered")
    operation = _registered.pop(name)
    CELL_OPERATIONS[operation.cell] = tuple(other for other in CELL_OPERATIONS[operation.cell] if other != name)


def load_modules() -> None:
    """Import the modules that ``HNAS_OPERATIONS`` names.

    Raises
    ------
    ImportError
        If there is no such module; the message names the variable.
    """
    for module in filter(None, (name.strip() for name in os.environ.get(VARIABLE, "").split(","))):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            raise ImportError(
                f"{VARIABLE}: there is no module {module}; put the folder that it lies in into PYTHONPATH"
            ) from None


def _register(
    cell: str,
    name: str,
    factory: Callable[[int, int], nn.Module],
    label: str | None,
    colour: str | None,
    reach: int | None,
) -> None:
    from hnas_nni.report.palette import operation_colours, operation_names

    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise ValueError(f"name: {name!r} is not valid; give letters, digits and underscores")
    if any(name in operations for operations in CELL_OPERATIONS.values()):
        raise ValueError(f"{name}: there is such an operation already; give another name")
    label = name if label is None else label
    if not 1 <= len(label) <= LONGEST_LABEL:
        raise ValueError(f"{name}: label {label!r} is not valid; give 1 to {LONGEST_LABEL} characters")
    if label in operation_names().values():
        raise ValueError(f"{name}: label {label!r} is that of another operation; give another")
    taken = set(operation_colours().values())
    if colour is None:
        colour = next((spare for spare in _SPARE_COLOURS if spare not in taken), None)
        if colour is None:
            raise ValueError(f"{name}: all spare colours are taken; give a colour, as #rrggbb")
    if not re.fullmatch("#[0-9a-f]{6}", colour):
        raise ValueError(f"{name}: colour {colour!r} is not valid; give #rrggbb with small letters")
    if colour in taken:
        raise ValueError(f"{name}: colour {colour} is that of another operation; give another")
    if reach is not None and (type(reach) is not int or reach < 0):
        raise ValueError(f"{name}: reach {reach!r} is not valid; give pixels, at least 0, or None")
    _try(cell, name, factory)
    _registered[name] = OwnOperation(cell, name, factory, label, colour, reach)
    CELL_OPERATIONS[cell] = (*CELL_OPERATIONS[cell], name)


def _try(cell: str, name: str, factory: Callable[[int, int], nn.Module]) -> None:
    """Run the operation at every scale; on torch's meta device only shapes are followed."""
    import torch

    height, width = _PROBE_SIZE
    for scale in (2, 3, 4) if cell == "normal" else (1, 2, 3, 4):
        grown = 1 if cell == "normal" else scale
        x = torch.zeros(1, _PROBE_CHANNELS, height, width, device="meta")
        with torch.device("meta"):
            module = factory(_PROBE_CHANNELS, scale)
        if not isinstance(module, torch.nn.Module):
            raise ValueError(f"{name}: its factory gives a {type(module).__name__}; give a torch.nn.Module")
        shape, expected = tuple(module(x).shape), (1, _PROBE_CHANNELS, height * grown, width * grown)
        if shape != expected:
            raise ValueError(
                f"{name}: turns {tuple(x.shape)} into {shape} at scale {scale}; an operation of the {cell} cell gives "
                f"{expected}"
            )
