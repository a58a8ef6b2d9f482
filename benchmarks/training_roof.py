"""A training step on the CPU against the convolutions that it consists of, each run alone: what stands beside them.

    python benchmarks/training_roof.py
    python benchmarks/training_roof.py --give-back   # to Linux the memory that a step frees, as glibc does by itself

For each network and size of patches it records the convolutions of one step, forward and backward, with the sizes and
memory formats that they have there, and times each by itself over and over on one thread: the roof, what oneDNN
reaches for those shapes. Step and roof are measured in turns, in CPU seconds. GMAC/s are the multiply-adds of a step,
those of the forward pass and of each gradient, over its seconds; beside it those of the convolutions alone, first the
ordinary, then the depthwise ones.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hnas_nni import HNAS_A, HNAS_B
from hnas_nni.architecture.peers import PEERS
from hnas_nni.network.over_parameterised import expand
from hnas_nni.training.memory import keep_freed_memory
from hnas_nni.training.step import Adam, training_step
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.plain_stacks import plain_stacks

SCALE, BATCH = 2, 16
_AGAIN = 3
"""Runs of each convolution in a turn."""


@dataclass(frozen=True)
class Argument:
    """A tensor that a convolution is given, without its values."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def tensor(self) -> Tensor:
        """Return one of that form."""
        return torch.empty_strided(self.shape, self.strides).uniform_(-1, 1)


@dataclass(frozen=True)
class Convolution:
    """A convolution as autograd calls it, forward or backward."""

    operator: Any
    arguments: tuple[Any, ...]

    @property
    def gmacs(self) -> float:
        """Multiply-adds in 10^9; backward those of each gradient that is asked for."""
        backward = self.operator is torch.ops.aten.convolution_backward.default
        weight: Argument = self.arguments[2 if backward else 1]
        transposed = self.arguments[7 if backward else 6]
        asked = sum(self.arguments[10][:2]) if backward else 1
        large: Argument = self.arguments[1 if transposed and backward else 0]
        pixels = self._out_pixels(large) if not backward and not transposed else large.shape[2] * large.shape[3]
        taps = weight.shape[1] * weight.shape[2] * weight.shape[3] * weight.shape[0]
        return float(asked * large.shape[0] * pixels * taps / 1e9)

    @property
    def depthwise(self) -> bool:
        """Whether each channel is by itself."""
        backward = self.operator is torch.ops.aten.convolution_backward.default
        return bool(self.arguments[9 if backward else 8] > 1)

    def _out_pixels(self, image: Argument) -> int:
        _, weight, _, stride, padding, dilation, *_ = self.arguments
        sides = zip(image.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        rows, columns = ((side + 2 * pad - gap * (taps - 1) - 1) // step + 1 for side, taps, step, pad, gap in sides)
        return rows * columns

    def seconds(self) -> float:
        """Return the CPU seconds of a run by itself."""
        given = [part.tensor() if isinstance(part, Argument) else part for part in self.arguments]
        self.operator(*given)
        start = time.process_time()
        for _ in range(_AGAIN):
            self.operator(*given)
        return (time.process_time() - start) / _AGAIN


class Recorder(TorchDispatchMode):
    """Notes the convolutions of what runs in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Convolution] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        aten = torch.ops.aten
        if func in (aten.convolution.default, aten.convolution_backward.default):
            self.found[Convolution(func, tuple(_noted(part) for part in args))] += 1
        return func(*args, **(kwargs or {}))


def _noted(part: Any) -> Any:
    if isinstance(part, Tensor):
        return Argument(tuple(part.shape), part.stride())
    return tuple(part) if isinstance(part, list) else part


@dataclass(frozen=True)
class Measurement:
    """Of a step: CPU seconds, its convolutions' alone, multiply-adds in 10^9; both of ordinary, depthwise ones."""

    step: float
    alone: tuple[float, float]
    gmacs: tuple[float, float]
    page_faults: int


def measure(build: Callable[[], nn.Module], patch: int, turns: int) -> Measurement:
    """Measure a step of 16 HR patches."""
    torch.manual_seed(0)
    network = build()
    expand(network)
    optimizer = Adam()
    hr = torch.rand(BATCH, 3, patch, patch)
    lr = torch.rand(BATCH, 3, patch // SCALE, patch // SCALE)

    def step() -> None:
        training_step(network, optimizer, lr, hr, 1e-4)

    step()
    recorder = Recorder()
    with recorder:
        step()
    steps, alone, faults = [], [], []
    for _ in range(turns):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.process_time()
        for _ in range(_AGAIN):
            step()
        steps.append((time.process_time() - start) / _AGAIN)
        faults.append((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // _AGAIN)
        alone.append(_by_kind({found: count * found.seconds() for found, count in recorder.found.items()}))
    gmacs = _by_kind({found: count * found.gmacs for found, count in recorder.found.items()})
    ordinary, depthwise = (statistics.median(seconds) for seconds in zip(*alone, strict=True))
    return Measurement(statistics.median(steps), (ordinary, depthwise), gmacs, int(min(faults)))


def _by_kind(measured: dict[Convolution, float]) -> tuple[float, float]:
    """Return the sums over ordinary and depthwise convolutions."""
    of_depthwise = sum(value for found, value in measured.items() if found.depthwise)
    return sum(measured.values()) - of_depthwise, of_depthwise


def networks() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Yield networks of both spaces, and a plain one."""
    plain = PEERS["plain-stack"]
    yield "plain stack, 4 x 20", lambda: plain.build(SCALE, 20, 4)
    for stack in plain_stacks(Budget(gmacs=4.0), "collapsible_3x3"):
        if stack.depth in (4, 7):
            yield f"efficient, {stack.depth} x {stack.width}", lambda stack=stack: stack.build(SCALE)
    for name, genotype in (("HNAS-A", HNAS_A), ("HNAS-B", HNAS_B)):
        placed = replace(genotype, position=6, depth=6, width=8)
        yield f"{name}, 6 x 8", lambda placed=placed: placed.build(SCALE)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, nargs="+", default=[48, 96], help="HR pixels (default: 48 96)")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--networks", nargs="+", help="only these, by name")
    parser.add_argument(
        "--give-back", action="store_true", help="freed memory; by default it is kept, as in a training"
    )
    options = parser.parse_args()
    if not options.give_back:
        keep_freed_memory()
    torch.set_num_threads(1)
    print(
        "| network | patch | step (ms) | convolutions (ms) | step / them | GMAC/s | alone | depthwise | page faults |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, build in networks():
        if options.networks and name not in options.networks:
            continue
        for patch in options.patches:
            found = measure(build, patch, options.turns)
            alone = sum(found.alone)
            times = f"{1e3 * found.step:.1f} | {1e3 * alone:.1f} | {found.step / alone:.2f}"
            speeds = [sum(found.gmacs) / found.step, found.gmacs[0] / found.alone[0]]
            cells = [f"{speed:.1f}" for speed in speeds]
            cells.append(f"{found.gmacs[1] / found.alone[1]:.1f}" if found.alone[1] else "-")
            print(f"| {name} | {patch} | {times} | {' | '.join(cells)} | {found.page_faults} |", flush=True)


if __name__ == "__main__":
    main()
