"""How long the parts of a network take on a device: a table, so that a budget can be milliseconds.

A network's time is taken as the sum of its parts', as its cost is. That is what a controller can be masked by.
:mod:`hnas_nni.timing` measures one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hnas_nni.architecture.spaces import Space
from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text

_VERSION = 1


def part_name(part: Any, high: bool | None) -> str:
    """Return what a table calls a part, which :class:`hnas_nni.cost.PartCosts` knows by its own key."""
    if isinstance(part, tuple) and part[0] == "ends":
        return "ends, upsampled last" if part[1] else "ends"
    if isinstance(part, tuple):
        operation, reads_input, last = part
        return f"{operation} of {'an input' if reads_input else 'a node'}{', to the image' if last else ''}"
    return f"{part} at high resolution" if high else str(part)


@dataclass(frozen=True)
class LatencyTable:
    """The milliseconds of the parts of a space's networks.

    Parameters
    ----------
    space
        Its name.
    scale
        Upscaling factor.
    lr_size
        Height and width of the low-resolution input, in pixels.
    device
        What it was measured on, in words.
    milliseconds
        C -> name of a part -> milliseconds.
    """

    space: str
    scale: int
    lr_size: tuple[int, int]
    device: str
    milliseconds: Mapping[int, Mapping[str, float]]

    @classmethod
    def read(cls, path: str | Path) -> LatencyTable:
        """Read a table that :meth:`write` wrote, or that was written by hand for a device without Python.

        Raises
        ------
        ValueError
            If the file is not such a table; the message names it.
        """
        try:
            data = parse_json(read_text(path))
            if data.pop("version") != _VERSION:
                raise ValueError("of another version")
            rows = {
                int(width): {str(name): float(value) for name, value in parts.items()}
                for width, parts in data.pop("milliseconds").items()
            }
            if any(not 0 <= value < float("inf") for parts in rows.values() for value in parts.values()):
                raise ValueError("milliseconds must be finite and at least 0")
            height, width = data.pop("lr_size")
            return cls(lr_size=(int(height), int(width)), milliseconds=rows, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: not a table of milliseconds, as hnas latency writes it ({reason})") from None

    def write(self, path: Path) -> None:
        """Write the table as JSON, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"version": _VERSION, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    def part(self, channels: int, part: Any, high: bool | None) -> float:
        """Return the milliseconds of a part.

        Raises
        ------
        ValueError
            If the table does not have it.
        """
        name = part_name(part, high)
        try:
            return self.milliseconds[channels][name]
        except KeyError:
            raise ValueError(f"latency: the table has no {name!r} at C = {channels}; measure it anew") from None

    def check(self, space: Space, scale: int) -> None:
        """Raise ValueError unless the table is of a space and a scale."""
        if (self.space, self.scale) != (space.name, scale):
            raise ValueError(
                f"latency: the table is of the {self.space} space at x{self.scale}, "
                f"and the search's is {space.name} at x{scale}; measure that one"
            )
