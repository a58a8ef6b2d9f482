"""How much a trial of some steps tells of what its architecture is worth after a long training.

    python benchmarks/trial_length.py --images BSDS500/train --validation BSDS500/test --out signal.jsonl

Architectures are drawn evenly from a space, in groups of equal cost (85 to 100 % of each of ``--budgets``), the plain
stacks that fill a budget among them. Each is trained to the end, as the finalists of ``at_equal_price.py`` are, on the
images, and measured on the validation images, a few with a second seed; and it is evaluated by trials of ``--steps``,
from scratch, as ``config.yml`` does it. Printed is Spearman's rank correlation of both, over all and as the mean within
the groups, with 90 % bootstrap intervals, beside what the multiply-adds alone would tell. Each result is written at
once, and what is in the file is not computed again; ``--table`` prints it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from at_equal_price_parts.training import BATCH, PATCH, SCALE, Images, read
from torch import nn

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import PAPER, SPACES, Space
from hnas_nni.cost import cost_table
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.network.first_weights import interpolate
from hnas_nni.training.step import FIRST_LEARNING_RATE, patch_psnr
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.plain_stacks import plain_stacks
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import LEARNING_RATE

_SECOND_SEEDS = 4
"""So many architectures of each group are trained to the end twice, which tells the noise of the seed."""

_RESAMPLES = 2000

Row = dict[str, Any]


def architectures(space: Space, budget: float, number: int, sizes: tuple[int, int]) -> Iterator[Genotype]:
    """Yield architectures of 85 to 100 % of a budget, each once: some plain stacks if there are, then random ones."""
    table = cost_table(SCALE, *sizes)
    found = [] if space is PAPER else list(plain_stacks(Budget(gmacs=budget)))[: number // 4]
    random = (Genotype.random(seed, sizes[1], space) for seed in itertools.count())
    seen = set(map(str, found))
    yield from found
    while len(seen) < number:
        genotype = next(random)
        if 0.85 * budget <= table(genotype).gmacs <= budget and str(genotype) not in seen:
            seen.add(str(genotype))
            yield genotype


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the rank correlation; values that are equal share their mean rank."""

    def ranks(values: Sequence[float]) -> np.ndarray:
        array = np.asarray(values)
        return np.array([(array < value).sum() + ((array == value).sum() - 1) / 2 for value in array])

    first, second = ranks(one), ranks(other)
    if first.std() == 0 or second.std() == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


class Pairs:
    """Of each group, by its budget, what a trial said and what the long training gave."""

    def __init__(self, rows: Sequence[Row], value: Callable[[Row], float | None]) -> None:
        self.groups: dict[float, list[tuple[float, float]]] = defaultdict(list)
        for row in rows:
            said = value(row)
            if said is not None:
                self.groups[row["budget"]].append((said, row["trained"]))

    def over_all(self, groups: dict[float, list[tuple[float, float]]]) -> float:
        """Return the correlation over all groups."""
        pairs = [pair for group in groups.values() for pair in group]
        return spearman([said for said, _ in pairs], [trained for _, trained in pairs])

    def within(self, groups: dict[float, list[tuple[float, float]]]) -> float:
        """Return the mean of the groups' correlations."""
        return statistics.fmean(
            spearman([said for said, _ in group], [trained for _, trained in group]) for group in groups.values()
        )

    def told(self, of: Callable[[dict[float, list[tuple[float, float]]]], float]) -> str:
        """Return a correlation with its interval, from resampled architectures of each group."""
        draw = np.random.default_rng(0)
        resampled = []
        for _ in range(_RESAMPLES):
            groups = {
                budget: [group[index] for index in draw.integers(len(group), size=len(group))]
                for budget, group in self.groups.items()
            }
            resampled.append(of(groups))
        low, high = np.nanquantile(resampled, (0.05, 0.95))
        return f"{of(self.groups):.2f} [{low:.2f}, {high:.2f}]"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the results as a Markdown table."""
    trained = {(row["budget"], row["genotype"]): row["trained"] for row in rows if row["kind"] == "training"}
    again = {(row["budget"], row["genotype"]): row["trained"] for row in rows if row["kind"] == "second seed"}
    if again:
        noise = math.sqrt(statistics.fmean((trained[key] - other) ** 2 / 2 for key, other in again.items()))
        yield f"{len(trained)} architectures trained, standard deviation between two seeds {noise:.3f} dB,"
        yield f"between architectures {statistics.stdev(trained.values()):.3f} dB.\n"
    yield "| what tells | CPU s | over all | within groups of equal cost |\n|---|---|---|---|"
    trials: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        key = (row["budget"], row["genotype"])
        if row["kind"] == "trial" and key in trained:
            trials[row["name"]].append(row | {"trained": trained[key]})
    for name, found in trials.items():
        seconds = statistics.fmean(row["seconds"] for row in found)
        for measure in found[0]["psnr"]:
            pairs = Pairs(found, lambda row, measure=measure: row["psnr"].get(measure))  # type: ignore[misc]
            yield f"| {name}, {measure} | {seconds:.1f} | {pairs.told(pairs.over_all)} | {pairs.told(pairs.within)} |"
    done = [row for row in rows if row["kind"] == "training"]
    costs = Pairs(done, lambda row: row["gmacs"])
    yield f"| multiply-adds alone | | {costs.told(costs.over_all)} | {costs.told(costs.within)} |"


class Bench(Images):
    """The images and the file of results."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options.images, [options.validation])
        self.tests = {"validation": next(iter(self.tests.values()))[:: options.every]}
        self.options = options
        self.rows = read(options.out)
        self.sizes = (options.channels, options.layers)
        splits = load_splits(options.trial_data, SCALE, patch_size=PATCH)
        self.measures = {
            f"{count} patches of {len(pairs)} photographs": fixed_patches(pairs, SCALE, PATCH, count)
            for pairs in (splits.controller, splits.validation)
            for count in (32, 128)
        }

    def once(self, row: Row, compute: Callable[[], Row]) -> None:
        """Compute and keep a result, unless it is there."""
        if any(row.items() <= known.items() for known in self.rows):
            return
        self.rows.append(row | compute())
        with open(self.options.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
        print(json.dumps(self.rows[-1]), flush=True)

    def trained(self, genotype: Genotype, seed: int) -> Row:
        """Train to the end and measure."""

        def build() -> nn.Module:
            network: nn.Module = genotype.build(SCALE, *self.sizes)
            if genotype.space is PAPER:
                interpolate(network)
            return network

        rate = FIRST_LEARNING_RATE if genotype.space is PAPER else LEARNING_RATE
        network, seconds = self.train(build, self.options.train_steps, seed, rate)
        gmacs = cost_table(SCALE, *self.sizes)(genotype).gmacs
        return {"trained": self.psnrs(network)["validation"], "gmacs": gmacs, "seconds": seconds}

    def tried(self, genotype: Genotype, number: int, steps: int) -> Row:
        """Evaluate as a trial does, and measure its network in several ways."""
        channels, layers = self.sizes
        settings = TrialSettings(
            data=self.options.trial_data,
            steps=steps,
            batch=BATCH,
            patch=PATCH,
            channels=channels,
            layers=layers,
            reports=1,
            threads=1,
        )
        start = time.process_time()
        _, network = evaluate(genotype, JointReward(), Training(settings, number=number))
        seconds = time.process_time() - start
        assert network is not None
        psnr = {name: patch_psnr(network, *patches, SCALE) for name, patches in self.measures.items()}
        return {"psnr": psnr, "seconds": seconds}


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", metavar="DIR", help="training images")
    parser.add_argument("--validation", metavar="DIR", help="images that trained networks are measured on")
    parser.add_argument("--every", type=int, default=5, help="take every so many of them (default: 5)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file of results")
    parser.add_argument("--space", choices=list(SPACES), default="efficient", help="(default: efficient)")
    parser.add_argument("--budgets", type=float, nargs="+", default=[1.0, 2.0, 4.0], help="in GMAC, of the groups")
    parser.add_argument("--number", type=int, default=20, help="of architectures in a group (default: 20)")
    parser.add_argument("--train-steps", type=int, default=2000, help="of a training (default: 2000)")
    parser.add_argument("--steps", type=int, nargs="+", default=[160, 400, 640], help="of trials")
    parser.add_argument("--trial-data", default="embedded:photos", help="of the trials (default: those of config.yml)")
    parser.add_argument("--channels", type=int, default=8, help="C in the paper's space (default: 8)")
    parser.add_argument("--layers", type=int, default=6, help="L in the paper's space (default: 6)")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    if options.table:
        print("\n".join(table(read(options.out))))
        return
    torch.set_num_threads(1)
    bench = Bench(options)
    drawn = [
        list(architectures(SPACES[options.space], budget, options.number, bench.sizes)) for budget in options.budgets
    ]
    for number in range(options.number):
        for budget, genotypes in zip(options.budgets, drawn, strict=True):
            genotype = genotypes[number]
            key = {"budget": budget, "genotype": str(genotype)}
            bench.once(key | {"kind": "training"}, partial(bench.trained, genotype, seed=0))
            if number < _SECOND_SEEDS:
                bench.once(key | {"kind": "second seed"}, partial(bench.trained, genotype, seed=1))
            for steps in options.steps:
                trial = key | {"kind": "trial", "name": f"trial of {steps} steps"}
                bench.once(trial, partial(bench.tried, genotype, number, steps))
    print("\n".join(table(bench.rows)))


if __name__ == "__main__":
    main()
