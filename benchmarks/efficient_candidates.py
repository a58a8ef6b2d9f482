"""What each candidate of the efficient space wins, and what was left out: stacks of one operation, trained alike.

    python benchmarks/efficient_candidates.py --images BSDS500/train --test Set5 --test Set14 --out candidates.jsonl

Every row is a stack of about the same multiply-adds: a stem, equal blocks, a 3x3 convolution to ``3 s^2`` channels,
pixel shuffle, plus an interpolation of the input; the first row is the plain one, each other changes one thing. Each
result is written at once, and what is in the file is not computed again; ``--table`` prints it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from at_equal_price_parts.training import Images, read
from torch import nn

from hnas_nni.cost import profile
from hnas_nni.metrics import LUMA
from hnas_nni.network.over_parameterised import over_parameterise_later

SCALE = 2
SIZES = {1.0: (10, 3), 4.0: (20, 4), 16.0: (32, 7)}
"""Budget in GMAC -> width and blocks of the best stack of 3x3 convolutions on RGB that fills it."""

ON_LUMA = {1.0: (10, 4), 4.0: (24, 3), 16.0: (32, 7)}
"""The same for networks that see luma alone."""

Make = Callable[[int, int], nn.Module]


def conv(inputs: int, out: int, size: int = 3, dilation: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, out, size, padding=dilation * (size // 2), dilation=dilation)


def collapsible(inputs: int, out: int, dilation: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that is trained as a product of two."""
    made = conv(inputs, out, dilation=dilation)
    over_parameterise_later(made)
    return made


class Gated(nn.Module):
    """SPAN's attention without weights (arXiv 2311.12770), around one convolution."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.conv = conv(inputs, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return (y + x) * (torch.sigmoid(y) - 0.5)


class BothSigns(nn.Module):
    """A convolution to half the channels, which are handed on with both signs (CReLU, arXiv 1603.05201)."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.conv = collapsible(inputs, out // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = self.conv(x)
        return torch.cat([half, -half], 1)


class Residual(nn.Module):
    """A convolution plus its input, before the activation."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.conv = conv(inputs, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x)


class Partial(nn.Module):
    """A 3x3 convolution of half the channels, then a pointwise one (FasterNet, arXiv 2303.03667)."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.part = inputs // 2
        self.conv = conv(self.part, self.part)
        self.activation = nn.PReLU(out)
        self.pointwise = nn.Conv2d(out, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = torch.cat([self.conv(x[:, : self.part]), x[:, self.part :]], 1)
        return self.pointwise(self.activation(mixed))


def blueprint_separable(inputs: int, out: int, size: int) -> nn.Module:
    """A pointwise, then a depthwise convolution (BSConv, arXiv 2003.13549)."""
    depthwise = nn.Conv2d(out, out, size, padding=size // 2, groups=out)
    return nn.Sequential(nn.Conv2d(inputs, out, 1), depthwise)


class Stack(nn.Module):
    """Equal blocks between stem and pixel shuffle, plus an interpolation of the input."""

    colours: torch.Tensor

    def __init__(
        self,
        width: int,
        depth: int,
        block: Make = conv,
        ends: Make = conv,
        activation: Callable[[int], nn.Module] = nn.PReLU,
        skip: str = "none",
        base: str = "bicubic",
        dilations: tuple[int, ...] = (1,),
        luma: bool = False,
    ) -> None:
        super().__init__()
        self.skip, self.base = skip, base
        colours = 1 if luma else 3
        weights = torch.tensor(LUMA) / sum(LUMA) if luma else torch.eye(3)
        self.register_buffer("colours", weights.view(colours, 3, 1, 1), persistent=False)
        dilated = [
            {"dilation": dilations[index % len(dilations)]} if len(dilations) > 1 else {} for index in range(depth)
        ]
        self.stem = nn.Sequential(ends(colours, width), activation(width))
        self.blocks = nn.ModuleList(nn.Sequential(block(width, width, **more), activation(width)) for more in dilated)
        self.tail = ends(2 * width if skip == "concatenated" else width, colours * SCALE**2)
        with torch.no_grad():
            for parameter in self.tail.parameters():
                parameter *= 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = features = self.stem(F.conv2d(x - 0.45, self.colours))
        for block in self.blocks:
            features = block(features)
        if self.skip == "added":
            features = features + first
        elif self.skip == "concatenated":
            features = torch.cat([features, first], 1)
        options = {"align_corners": False} if self.base == "bicubic" else {}
        return F.pixel_shuffle(self.tail(features), SCALE) + F.interpolate(
            x, scale_factor=SCALE, mode=self.base, **options
        )


class Row(NamedTuple):
    """A row of the table: a stack, and its width and depth in place of those of :data:`SIZES`."""

    build: Callable[..., nn.Module]
    sizes: dict[float, tuple[int, int]] = SIZES


ROWS: dict[str, Row] = {
    "plain 3x3 convolutions, PReLU": Row(Stack),
    "collapsible blocks": Row(partial(Stack, block=collapsible)),
    "collapsible blocks, stem and tail": Row(partial(Stack, block=collapsible, ends=collapsible)),
    "plain, on luma": Row(partial(Stack, luma=True), ON_LUMA),
    "all collapsible, on luma": Row(partial(Stack, block=collapsible, ends=collapsible, luma=True), ON_LUMA),
    "collapsible, both signs": Row(partial(Stack, block=BothSigns), {1.0: (14, 3), 4.0: (28, 4), 16.0: (44, 7)}),
    "narrower, more": Row(Stack, {1.0: (8, 5), 4.0: (16, 6), 16.0: (28, 9)}),
    "residual blocks": Row(partial(Stack, block=Residual)),
    "features of the stem added": Row(partial(Stack, skip="added")),
    "features of the stem concatenated, one block less": Row(
        partial(Stack, skip="concatenated"), {budget: (width, depth - 1) for budget, (width, depth) in SIZES.items()}
    ),
    "every second dilated": Row(partial(Stack, dilations=(1, 2))),
    "gated (SPAN)": Row(partial(Stack, block=Gated, activation=lambda width: nn.Identity())),
    "GELU": Row(partial(Stack, activation=lambda width: nn.GELU())),
    "partial convolutions": Row(partial(Stack, block=Partial), {1.0: (12, 5), 4.0: (24, 6), 16.0: (48, 8)}),
    "BSConv 7x7": Row(
        partial(Stack, block=partial(blueprint_separable, size=7)), {1.0: (12, 7), 4.0: (24, 10), 16.0: (48, 12)}
    ),
    "nearest in place of bicubic": Row(partial(Stack, base="nearest")),
}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder of training images")
    parser.add_argument("--test", action="append", default=[], help="a test set")
    parser.add_argument("--budgets", type=float, nargs="+", default=list(SIZES), help="in GMAC")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help="only these")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="at the first step (default: 2e-3)")
    parser.add_argument("--steps", type=int, default=1000, help="of each training (default: 1000)")
    parser.add_argument("--out", type=Path, required=True, help="file of results")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    rows = read(options.out)
    if not options.table:
        torch.set_num_threads(1)
        images = Images(options.images, options.test)
        done = {(row["budget"], row["seed"], row["name"]) for row in rows}
        for seed in options.seeds:
            for budget in options.budgets:
                for name, row in ROWS.items():
                    if name not in options.rows or (budget, seed, name) in done:
                        continue
                    build = partial(row.build, *row.sizes[budget])
                    network, seconds = images.train(build, options.steps, seed, options.learning_rate)
                    with torch.device("meta"):
                        cost = profile(build(), torch.zeros(1, 3, 480, 480))
                    found = {
                        "budget": budget,
                        "seed": seed,
                        "name": name,
                        "gmacs": cost.gmacs,
                        "seconds": round(seconds),
                    }
                    rows.append(found | {"psnr": images.psnrs(network)})
                    with open(options.out, "a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
                    print(json.dumps(rows[-1]), flush=True)
    print("\n".join(table(rows)))


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the results as a Markdown table, means over the seeds, and what each row wins over the first."""
    groups: dict[tuple[float, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["budget"], row["name"]].append(row)
    tests = list(rows[0]["psnr"]) if rows else []
    yield f"| budget | | {' | '.join(f'{test}, against plain' for test in tests)} | GMAC | seeds |"
    yield "|---|---|" + "---|" * (len(tests) + 2)
    for budget in sorted({row["budget"] for row in rows}):
        for name in ROWS:
            found, plain = groups.get((budget, name), []), groups.get((budget, next(iter(ROWS))), [])
            if not found or not plain:
                continue
            cells = []
            for test in tests:
                value, base = (statistics.fmean(row["psnr"][test] for row in group) for group in (found, plain))
                cells.append(f"{value:.2f}, {value - base:+.2f}")
            yield f"| {budget:g} | {name} | {' | '.join(cells)} | {found[0]['gmacs']:.2f} | {len(found)} |"


if __name__ == "__main__":
    main()
