"""The paper's Table II, measured: named networks and searched ones under equal conditions.

    python benchmarks/table_two.py --images BSDS500/train --test Set5 --test Set14 --out table_two.jsonl
    python benchmarks/table_two.py --images DIV2K/DIV2K_train_HR --test Set5 --full --device cuda --steps 300000 \\
        --out full.jsonl

In miniature each network is as wide as fits 1, 4 and 16 GMAC, where its paper leaves the width open, at the paper's
depth (the plain stack at several); HNAS-A, -B and -C as well, of 6 blocks. With --full each is as published. All are
trained on the same images, steps and batches. --found adds architectures that a search found: ``NAME=FILE``, or the
printed form of a genotype. Each result is written at once, and what is in the file is not computed again; --markdown,
--csv and --picture write what is there. Seconds are CPU seconds on a CPU, which other work beside it hardly changes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from at_equal_price_parts.training import RATE, SCALE, Images, read
from torch import Tensor, nn

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.peers import PEERS
from hnas_nni.inference import NetworkModel
from hnas_nni.inference.evaluation import evaluate
from hnas_nni.network.export import export
from hnas_nni.network.export_formats import FORMATS
from hnas_nni.network.first_weights import interpolate
from hnas_nni.report.published_results import PUBLISHED_RESULTS
from hnas_nni.searches.names import read_architecture

_WIDEST = 256
_FULL_SIZE_RATE = 1e-3
"""Highest learning rate of networks as published. Narrow ones that were tried (plain stack, VDSR, EDSR-baseline; at
4 GMAC, 1,000 steps) are 0.6 to 1.3 dB better with that of the comparison at an equal price."""

_PLAIN_STACK = "plain-stack"
_PLAIN_STACKS = (3, 4, 6)
"""It has no paper to say a depth; these are the best at 1 and 4 GMAC (docs/results.md), and a deeper one."""
_NAME = {"textcoords": "offset points", "fontsize": 8}
_LETTER, _LINE = 7, 14
"""Pixels of a name in the picture."""
_MINIATURE_LAYERS = 6
_LEAST_SHARE = 0.5
"""Of a budget; what uses less is no comparison at that price."""


@dataclass(frozen=True)
class Row:
    """A network of the table: what it is called, and its architecture and sizes."""

    name: str
    architecture: Architecture
    channels: int
    layers: int

    def gmacs(self) -> float:
        """Multiply-adds in 10^9."""
        return float(self.architecture.cost(SCALE, self.channels, self.layers).gmacs)


def rows_within(budget: float, found: Sequence[Row], wanted: Sequence[str] | None) -> Iterator[Row]:
    """Yield each network as wide as fits a budget in GMAC, and the found ones that do; only the wanted, if given."""
    for peer in PEERS.values():
        if SCALE in peer.scales:
            widths = range(peer.multiple, _WIDEST + 1, peer.multiple) if peer.open_channels else (peer.channels,)
            for layers in _PLAIN_STACKS if peer.name == _PLAIN_STACK else (peer.layers,):
                name = f"{peer.name}, {layers} layers" if peer.name == _PLAIN_STACK else peer.name
                if wanted is None or name in wanted:
                    yield from _widest([Row(name, peer, width, layers) for width in widths], budget)
    for name, genotype in _paper().items():
        if wanted is not None and name not in wanted:
            continue
        placed = replace(genotype, position=_MINIATURE_LAYERS, depth=_MINIATURE_LAYERS)
        yield from _widest([Row(name, placed, width, _MINIATURE_LAYERS) for width in range(3, 65)], budget)
    yield from (row for row in found if _LEAST_SHARE * budget <= row.gmacs() <= budget)


def rows_as_published(found: Sequence[Row]) -> Iterator[Row]:
    """Yield each network as its paper has it, and the found ones."""
    yield from (Row(peer.name, peer, peer.channels, peer.layers) for peer in PEERS.values() if SCALE in peer.scales)
    yield from (Row(name, genotype, 64, 12) for name, genotype in _paper().items())
    yield from found


def _paper() -> dict[str, Genotype]:
    return {"HNAS-A": HNAS_A, "HNAS-B": HNAS_B, "HNAS-C": HNAS_C}


def _widest(rows: Sequence[Row], budget: float) -> Iterator[Row]:
    """Yield the last of rows of rising cost that fits a budget, if it uses enough of it."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        if rows[middle].gmacs() <= budget:
            low = middle + 1
        else:
            high = middle
    if low and rows[low - 1].gmacs() >= _LEAST_SHARE * budget:
        yield rows[low - 1]


def measure(row: Row, images: Images, steps: int, seed: int, rate: float) -> dict[str, Any]:
    """Train a network and measure it on each test set."""

    def build() -> Any:
        network = row.architecture.build(SCALE, row.channels, row.layers)
        interpolate(network)
        return network

    clock = _clock(images)
    start = clock()
    network: Any
    network, _ = images.train(build, steps, seed, rate)
    seconds = clock() - start
    model = NetworkModel(network, row.name, images.device)
    scores = {name: evaluate(model, pairs, name) for name, pairs in images.tests.items()}
    cost = row.architecture.cost(SCALE, row.channels, row.layers)
    return {
        "gmacs": cost.gmacs,
        "params": cost.params,
        "channels": row.channels,
        "layers": row.layers,
        "training_seconds": round(seconds, 1),
        "seconds_per_megapixel": {
            "torch": _by_torch(network, images),
            "onnxruntime": _by_onnxruntime(network, images),
        },
        "scores": {name: {"psnr": score.psnr, "ssim": score.ssim} for name, score in scores.items()},
    }


def _clock(images: Images) -> Callable[[], float]:
    """Return what measures seconds: CPU seconds on a CPU, which other work beside it hardly changes."""
    return time.process_time if images.device == "cpu" else time.perf_counter


def _by_torch(network: nn.Module, images: Images) -> float:
    """Return the seconds for 10^6 HR pixels of the first test set, each image whole."""

    def run(lr: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(lr.to(images.device)).cpu()  # type: ignore[no-any-return]

    return _seconds_per_megapixel(run, images, _clock(images))


def _by_onnxruntime(network: nn.Module, images: Images) -> float | None:
    """Return the CPU seconds for 10^6 HR pixels of the first test set, or None if the packages are missing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            export(network, Path(folder) / "network.onnx")
        except ValueError:
            return None
        return _seconds_per_megapixel(FORMATS["onnx"].load(Path(folder) / "network.onnx"), images, time.process_time)


def _seconds_per_megapixel(run: Callable[[Tensor], Any], images: Images, clock: Callable[[], float]) -> float:
    pairs = next(iter(images.tests.values()))
    inputs = [torch.from_numpy(pair.lr).permute(2, 0, 1)[None].float() / 255 for pair in pairs]
    run(inputs[0])  # the first run of all takes longer
    start = clock()
    for lr in inputs:
        run(lr)
    return 1e6 * (clock() - start) / sum(lr.shape[2] * lr.shape[3] * SCALE**2 for lr in inputs)


def table(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the table's rows, the head first: means over the seeds, and what was published by those names."""
    tests = list(results[0]["scores"]) if results else []
    published = {result.method: result for result in PUBLISHED_RESULTS}
    head = ["budget (GMAC)", "network", *tests, "GMAC", "parameters", "training (s)", "torch (s/Mpixel)", "onnxruntime"]
    lines = [[*head, "seeds", *(f"published, {test}" for test in tests), "published GMAC", "published parameters"]]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((f"{result['budget'] or 'as published'}", result["name"]), []).append(result)
    for (budget, name), group in groups.items():
        known = published.get(name)
        speeds = [[row["seconds_per_megapixel"][kind] for row in group] for kind in ("torch", "onnxruntime")]
        quoted = [known.scores.get(test) if known else None for test in tests]
        lines.append(
            [
                budget,
                name,
                *(_mean_score(group, test) for test in tests),
                f"{group[0]['gmacs']:.2f}",
                f"{group[0]['params']:,}",
                f"{statistics.fmean(row['training_seconds'] for row in group):.0f}",
                *("-" if None in values else f"{statistics.fmean(values):.3f}" for values in speeds),
                str(len(group)),
                *("-" if score is None else f"{score[0]:.2f}/{score[1]:.4f}" for score in quoted),
                "-" if known is None or known.gmacs is None else f"{known.gmacs:.1f}",
                "-" if known is None or known.kilo_params is None else f"{known.kilo_params}K",
            ]
        )
    return lines


def _mean_score(group: Sequence[dict[str, Any]], test: str) -> str:
    psnr, ssim = (statistics.fmean(row["scores"][test][kind] for row in group) for kind in ("psnr", "ssim"))
    return f"{psnr:.2f}/{ssim:.4f}"


def draw(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw PSNR on the first test set against multiply-adds, with names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.add_subplot()
    test = next(iter(results[0]["scores"]))
    groups: dict[tuple[Any, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["budget"], result["name"]), []).append(result)
    points = [
        (group[0]["gmacs"], statistics.fmean(row["scores"][test]["psnr"] for row in group), name)
        for (_, name), group in groups.items()
    ]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.2)
    axes.set_xlabel("multiply-adds (G) at a 3x480x480 input")
    axes.set_ylabel(f"PSNR on Y of {test} x{SCALE} (dB)")
    axes.grid(alpha=0.3)
    axes.plot([gmacs for gmacs, *_ in points], [psnr for _, psnr, _ in points], "o", color="#1f4e79")
    figure.draw_without_rendering()  # so that it is known where points come to lie
    _name(axes, points)
    figure.savefig(path)


def _name(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Write names beside points in x and y, from the top, each below the ones that it would hide."""
    taken: list[tuple[float, float, float]] = []
    for x, y, name in sorted(points, key=lambda point: -point[1]):
        right, height = axes.transData.transform((x, y))
        low, end = height, right + _LETTER * len(name)
        for begin, other_end, written in taken:
            if begin < end and right < other_end:
                low = min(low, written - _LINE)
        taken.append((right, end, low))
        axes.annotate(name, (x, y), xytext=(6, (low - height) * 72 / axes.figure.dpi - 3), **_NAME)


def _found(text: str) -> Row:
    name, _, what = text.partition("=")
    if what.startswith("Genotype("):
        genotype = Genotype.from_string(what)
        return Row(name, genotype, genotype.width or 64, genotype.depth or 12)
    named = read_architecture(what)
    return Row(name, named.architecture, named.channels or 64, named.layers or 12)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help='folder of training images, or "embedded:photos" for those that come along')
    parser.add_argument("--test", action="append", default=[], help="a test set; speed is measured on the first")
    parser.add_argument("--budgets", type=float, nargs="+", default=[1.0, 4.0, 16.0], help="in GMAC")
    parser.add_argument("--full", action="store_true", help="as published, in place of budgets")
    parser.add_argument("--found", action="append", default=[], type=_found, metavar="NAME=ARCHITECTURE")
    parser.add_argument("--networks", nargs="+", help="only these, by name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="file of results")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--picture", type=Path, help=".svg, .png or .pdf")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    results = read(options.out)
    if options.images:
        images = Images(options.images, options.test, options.device)
        rate = _FULL_SIZE_RATE if options.full else RATE
        for budget in [None] if options.full else options.budgets:
            rows = (
                rows_as_published(options.found)
                if budget is None
                else rows_within(budget, options.found, options.networks)
            )
            for row in rows:
                for seed in options.seeds:
                    key = {"budget": budget, "name": row.name, "seed": seed, "steps": options.steps}
                    done = any(all(result[part] == value for part, value in key.items()) for result in results)
                    if done or (options.networks and row.name not in options.networks):
                        continue
                    results.append({**key, **measure(row, images, options.steps, seed, rate)})
                    with open(options.out, "a", encoding="utf-8") as file:
                        file.write(json.dumps(results[-1]) + "\n")
                    print(json.dumps(results[-1]), flush=True)
    if not results:
        parser.error(f"{options.out}: has no results yet; give --images and --test")
    lines = table(results)
    head, *body = ["| " + " | ".join(line) + " |" for line in lines]
    markdown = "\n".join([head, "|" + "---|" * len(lines[0]), *body]) + "\n"
    print(markdown, end="")
    if options.markdown:
        options.markdown.write_text(markdown, encoding="utf-8")
    if options.csv:
        with open(options.csv, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
    if options.picture:
        draw(results, options.picture)


if __name__ == "__main__":
    os.environ.setdefault("NNI_FRAMEWORK", "none")
    main()
