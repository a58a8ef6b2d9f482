"""A candidate operation: all that is known of it, in one row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hnas_nni.architecture.spaces import Space
from hnas_nni.settings import SCALES

if TYPE_CHECKING:
    from torch import nn

LONGEST_LABEL = 15
"""Characters that fit into the box of an operation in pictures."""


def operation_scales(cell: str) -> tuple[int, ...]:
    """Return the scales that operations of a cell are made for.

    In the normal cell it is that of the network; in the upsampling cell 1 too, for edges that keep the size.
    """
    return (1, *SCALES) if cell == "upsampling" else SCALES


@dataclass(frozen=True, eq=False)
class Operation:
    """A candidate operation of a cell. No field has a default: none may be forgotten.

    Parameters
    ----------
    name
        In genotypes: letters, digits and underscores.
    cell, space
        The kind of cell, "normal" or "upsampling", and the space that it is a candidate in.
    factory
        ``factory(channels, scale)`` makes the module. In the normal cell it takes ``(n, C, h, w)`` to ``(n, C, h, w)``,
        and the scale is the network's; in the upsampling cell to ``(n, C, scale * h, scale * w)``, and the scale is 1
        where the edge reads an intermediate node. Upsampling ones of the efficient space are made by
        ``factory(channels, scale, out=...)`` and give `out` channels: 1 if the image follows, else C. At scale 1 they
        are given as many.
    label
        What pictures and texts call it, at most 15 characters.
    colour
        In pictures, as ``#rrggbb``.
    reach
        How many pixels of its input beyond its own an output pixel depends on, in each direction; a number for each
        scale, 1 included in the upsampling cell, where it differs. Tiles of large images overlap by as much.
    whole_image
        Whether an output pixel depends on the whole image besides, as with channel attention: tiles then differ from
        the whole, and `reach` is that of the rest.
    first_weights
        ``first_weights(module)`` makes a new module start close to the identity or to an interpolation, in place
        (:mod:`hnas_nni.network.first_weights`).

    Raises
    ------
    ValueError
        If a field is not valid; the message starts with the operation's name.
    """

    name: str
    cell: str
    space: Space
    factory: Callable[..., nn.Module]
    label: str
    colour: str
    reach: int | Mapping[int, int | Fraction]
    whole_image: bool
    first_weights: Callable[[Any], None]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"\w+", self.name):
            raise ValueError(f"name: {self.name!r} is not valid; give letters, digits and underscores")
        if self.cell not in self.space.cells:
            raise ValueError(f"{self.name}: cell {self.cell!r} is not valid; give one of {', '.join(self.space.cells)}")
        if not 1 <= len(self.label) <= LONGEST_LABEL:
            raise ValueError(f"{self.name}: label {self.label!r} is not valid; give 1 to {LONGEST_LABEL} characters")
        if not re.fullmatch("#[0-9a-f]{6}", self.colour):
            raise ValueError(f"{self.name}: colour {self.colour!r} is not valid; give #rrggbb with small letters")
        scales = operation_scales(self.cell)
        by_scale = self.reach if isinstance(self.reach, Mapping) else dict.fromkeys(scales, self.reach)
        if set(by_scale) != set(scales) or any(type(r) not in (int, Fraction) or r < 0 for r in by_scale.values()):
            raise ValueError(
                f"{self.name}: reach {self.reach!r} is not valid; give pixels, at least 0, or such a number for each "
                f"of the scales {', '.join(map(str, scales))}"
            )

    def reach_at(self, scale: int) -> Fraction:
        """Return the reach of the operation that is made for a scale, in pixels of its input."""
        return Fraction(self.reach[scale] if isinstance(self.reach, Mapping) else self.reach)
