"""How long the parts of a network take on a device: a table, so that a budget can be milliseconds.

A network's time is taken as the sum of its parts', as its cost is. That is what a controller can be masked by, and
:func:`check` says how far it is from the time of whole networks.
"""

from __future__ import annotations

import json
import platform
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hnas_nni.architecture.spaces import SPACES, Space
from hnas_nni.files import replacing

if TYPE_CHECKING:
    from hnas_nni.network.cost_parts import CostPart

_VERSION = 1
_LEAST_SECONDS = 0.05
"""Measured for at least so long, each part."""


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
            data = json.loads(Path(path).read_text(encoding="utf-8"))
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
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
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


def measure(
    space: Space,
    scale: int,
    lr_size: tuple[int, int],
    *,
    channels: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
    tell: Callable[[int], object] | None = None,
) -> LatencyTable:
    """Time every part of a space's networks on random weights, one image at a time.

    Parameters
    ----------
    space, scale
        Of the networks.
    lr_size
        Height and width of the low-resolution input, in pixels.
    channels
        The C to measure.
    device
        "cpu", or what torch knows.
    threads
        Of torch, on a CPU.
    tell
        Called with each C before it is measured.
    """
    from hnas_nni.cost import making_parts

    rows = {}
    for width in channels:
        if tell is not None:
            tell(width)
        with making_parts():
            named = list(_named_parts(space, scale, width))
        rows[width] = {
            name: sum(_time(part, lr_size, scale, device, threads) for part in parts) for name, parts in named
        }
    return LatencyTable(space.name, scale, lr_size, _in_words(device, threads), rows)


class Check(NamedTuple):
    """A whole network's milliseconds, measured, and as the table has them."""

    measured: float
    added_up: float


def check(table: LatencyTable, number: int, *, layers: int, device: str = "cpu", threads: int = 1) -> list[Check]:
    """Time random networks as a whole, and add their parts up.

    Parameters
    ----------
    table
        Just measured, on the same device.
    number
        Of networks.
    layers
        L, in a space that does not search it.
    device, threads
        As for :func:`measure`.
    """
    import torch

    from hnas_nni.architecture.genotype import Genotype
    from hnas_nni.cost import CostTable, making_parts
    from hnas_nni.network.cost_parts import CostPart

    space, draw = SPACES[table.space], random.Random(0)
    widths = list(table.milliseconds)
    costs = CostTable(table.scale, widths[0], layers, table.lr_size, table)
    found: list[Check] = []
    while len(found) < number:
        genotype = Genotype.random(draw, layers, space)
        if (genotype.width or widths[0]) not in widths:
            continue
        with making_parts(), torch.no_grad():
            network = genotype.build(table.scale, widths[0], layers)
        measured = _time(CostPart(network, 3), table.lr_size, table.scale, device, threads)
        found.append(Check(measured, costs(genotype).milliseconds))
    return found


def _named_parts(space: Space, scale: int, channels: int) -> Iterator[tuple[str, Sequence[CostPart]]]:
    """Yield all parts that networks of a space and a C are put together from, at their resolution."""
    from dataclasses import replace

    from hnas_nni.architecture.operations import candidates
    from hnas_nni.network.cost_parts import CostParts

    parts: Any = space.cost_parts(scale, channels)
    assert isinstance(parts, CostParts)
    for last in (False, True):
        yield part_name(("ends", last), None), parts.ends(last)
    for high in (False, True):
        yield part_name("block", high), [replace(part, high=high) for part in parts.block]
        for operation in candidates(space, "normal"):
            part = parts.operation("normal", operation, True, False)
            yield part_name(operation, high), [replace(part, high=high)]
    for operation in candidates(space, "upsampling"):
        for reads_input in (False, True):
            for last in (False, True):
                key = (operation, reads_input, last)
                yield part_name(key, None), [parts.operation("upsampling", *key)]


def _time(part: CostPart, lr_size: tuple[int, int], scale: int, device: str, threads: int) -> float:
    """Return the least milliseconds of a module on one image: what else the machine does only adds to them."""
    import torch
    from torch.utils.benchmark import Timer

    height, width = (side * scale if part.high else side for side in lr_size)
    module = part.module.to(device).eval()
    image = torch.zeros(1, part.channels, height, width, device=device)
    with torch.inference_mode():
        timer = Timer("module(image)", globals={"module": module, "image": image}, num_threads=threads)
        return min(timer.blocked_autorange(min_run_time=_LEAST_SECONDS).times) * 1e3


def _in_words(device: str, threads: int) -> str:
    import torch

    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    words = platform.processor() or platform.machine()
    return f"{words}, {threads} thread{'s' if threads > 1 else ''}, torch {torch.__version__}"
