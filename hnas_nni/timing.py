"""Measuring a :class:`hnas_nni.latency.LatencyTable`, and how far its sums are from whole networks."""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.utils.benchmark import Timer

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import SPACES, Space
from hnas_nni.cost import CostTable, making_parts
from hnas_nni.latency import LatencyTable, part_name
from hnas_nni.network.cost_parts import CostPart, CostParts


def measure(
    space: Space,
    scale: int,
    lr_size: tuple[int, int],
    *,
    channels: Sequence[int],
    device: str = "cpu",
    threads: int = 1,
    least_seconds: float = 0.05,
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
    least_seconds
        Spent on each part at least.
    tell
        Called with each C before it is measured.
    """

    rows = {}
    for width in channels:
        if tell is not None:
            tell(width)
        with making_parts():
            named = list(_named_parts(space, scale, width))
        rows[width] = {
            name: sum(_time(part, lr_size, scale, device, threads, least_seconds) for part in parts)
            for name, parts in named
        }
    return LatencyTable(space.name, scale, lr_size, _in_words(device, threads), rows)


class Check(NamedTuple):
    """A whole network's milliseconds, measured, and as the table has them."""

    measured: float
    added_up: float


def check(
    table: LatencyTable, number: int, *, layers: int, device: str = "cpu", threads: int = 1, least_seconds: float = 0.05
) -> list[Check]:
    """Time random networks as a whole, and add their parts up.

    Parameters
    ----------
    table
        Just measured, on the same device.
    number
        Of networks.
    layers
        L, in a space that does not search it.
    device, threads, least_seconds
        As for :func:`measure`.
    """

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
        measured = _time(CostPart(network, 3), table.lr_size, table.scale, device, threads, least_seconds)
        found.append(Check(measured, costs(genotype).milliseconds))
    return found


def _named_parts(space: Space, scale: int, channels: int) -> Iterator[tuple[str, Sequence[CostPart]]]:
    """Yield all parts that networks of a space and a C are put together from, at their resolution."""

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


def _time(
    part: CostPart, lr_size: tuple[int, int], scale: int, device: str, threads: int, least_seconds: float
) -> float:
    """Return the least milliseconds of a module on one image: what else the machine does only adds to them."""

    height, width = (side * scale if part.high else side for side in lr_size)
    module = part.module.to(device).eval()
    image = torch.zeros(1, part.channels, height, width, device=device)
    with torch.inference_mode():
        timer = Timer("module(image)", globals={"module": module, "image": image}, num_threads=threads)
        return min(timer.blocked_autorange(min_run_time=least_seconds).times) * 1e3


def _in_words(device: str, threads: int) -> str:

    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    words = platform.processor() or platform.machine()
    return f"{words}, {threads} thread{'s' if threads > 1 else ''}, torch {torch.__version__}"
