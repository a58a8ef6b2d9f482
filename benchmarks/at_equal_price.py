"""What a search finds against what one would write by hand at that price, all trained alike.

    python benchmarks/at_equal_price.py --images BSDS500/train --test Set5 --test Set14 --out results.jsonl

For each budget and seed: a search by trials as ``nnictl create --config config.yml`` runs it, successive halving
included; one with shared weights as ``hnas search --space efficient --budget`` runs it, resumable; random search by
trials, the same without a controller and without first proposals; the plain stack at its best width and depth, chosen
by trainings as long as the last; the same on luma and of collapsible convolutions, as the space has them; ESPCN,
FSRCNN and the paper's cells as wide as fits. The winner of each is then trained from scratch, with the same images,
steps and batches for all. Everything computes on one thread in this process. Each result is written at once, and what
is in the file is not computed again; ``--table`` prints it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from at_equal_price_parts.plain_networks import Written, espcn, fsrcnn, plain_stacks, widest
from at_equal_price_parts.training import BATCH, PATCH, SCALE, Images, read
from torch import nn

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import cost_table, profile
from hnas_nni.network.first_weights import interpolate
from hnas_nni.trial import TrialSettings
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.evaluation import Training, evaluate
from hnas_nni.trial.parameters import TrialParameters
from hnas_nni.trial.plain_stacks import plain_stacks as stacks_of
from search_spaces import search_space_json
from strategies import HierarchicalTuner
from strategies.search.command import quiet_imports
from strategies.search.settings import SearchSettings
from strategies.search.sizes import decided_by_budget

quiet_imports()

from strategies.search import WeightSharingSearch  # noqa: E402

RUNGS = [[24, 400], [4, 1000]]
SHARED_EPOCHS = 50
"""Of the search with shared weights: 2,500 steps of 16 patches, about the CPU time of the search by trials."""
_ROWS = (
    "found by trials",
    "plain stack",
    "random search",
    "ESPCN",
    "FSRCNN",
    "plain stack on luma",
    "collapsible stack",
    "paper's cells",
    "found with shared weights",
)


class Bench(Images):
    """The images, the test sets and the file of results."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options.images, options.test)
        self.options = options
        self.out: Path = options.out
        self.rows = read(self.out)

    def row(self, **key: Any) -> dict[str, Any] | None:
        """Return the result of that budget, seed and name, if there is one."""
        return next((row for row in self.rows if all(row[name] == value for name, value in key.items())), None)

    def write(self, row: dict[str, Any]) -> None:
        """Keep a result."""
        self.rows.append(row)
        with open(self.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def search(bench: Bench, budget: float, seed: int, evenly: bool) -> tuple[Genotype, float]:
    """Search by trials; returns the best of the last rung, and the CPU seconds."""
    start = time.process_time()
    settings = TrialSettings(
        data=bench.options.images,
        patch=PATCH,
        batch=BATCH,
        limit=bench.options.limit,
        measured_patches=128,
        threads=1,
        seed=seed,
    )
    arguments: dict[str, Any] = {"candidates": 1, "entropy_weight": 0.0, "learning_rate": 1e-9} if evenly else {}
    tuner = HierarchicalTuner(budget=budget, rungs=RUNGS, seed=seed, start_with_stacks=not evenly, **arguments)
    tuner.update_search_space(search_space_json(space="efficient"))
    best: tuple[float, Genotype] | None = None
    with tempfile.TemporaryDirectory() as folder:
        number = 0
        while samples := tuner.generate_multiple_parameters([number]):
            parameters = TrialParameters.from_nni(samples[0])
            assert parameters.reward is not None and parameters.stage is not None
            stage = parameters.stage
            training = Training(settings, None, number, stage, Path(folder))
            result, _ = evaluate(parameters.genotype, parameters.reward, training)
            tuner.receive_trial_result(number, samples[0], result.to_nni(parameters.genotype))
            if stage.number == len(RUNGS) and (best is None or result.reward > best[0]):
                best = (result.reward, parameters.genotype)
            print(f"  {number} {stage.number} {result.psnr:.3f} {result.gmacs:.2f} {parameters.genotype}", flush=True)
            number += 1
    assert best is not None
    return best[1], time.process_time() - start


def search_with_shared_weights(bench: Bench, budget: float, seed: int) -> tuple[Genotype, float]:
    """Search with shared weights; returns the first of the ranking with its sizes, and the CPU seconds."""
    start = time.process_time()
    given = {
        "data": (bench.options.images,),
        "space": EFFICIENT.name,
        "budget": budget,
        "epochs": SHARED_EPOCHS,
        "batch": BATCH,
        "patch": PATCH,
        "learning_rate": 1e-3,
        "limit": bench.options.limit,
        "seed": seed,
        "threads": 1,
        "device": "cpu",
    }
    settings = SearchSettings.miniature(**given)
    settings = SearchSettings.miniature(**given, **decided_by_budget(settings, given))
    folder = bench.out.with_suffix("") / f"shared weights, {budget:g} GMAC, seed {seed}"
    folder.parent.mkdir(exist_ok=True)
    found = WeightSharingSearch(settings, folder).run()[0].genotype
    return replace(found, depth=settings.layers, width=settings.channels), time.process_time() - start


def candidates(bench: Bench, budget: float, seed: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the rows of a budget and seed by name, and what finds the network of each."""

    def by_trials(evenly: bool) -> dict[str, Any]:
        genotype, seconds = search(bench, budget, seed, evenly)
        return {"network": str(genotype), "search_seconds": round(seconds)}

    def with_shared_weights() -> dict[str, Any]:
        genotype, seconds = search_with_shared_weights(bench, budget, seed)
        return {"network": str(genotype), "search_seconds": round(seconds)}

    def best_of(networks: Iterable[tuple[str, Callable[[], nn.Module]]]) -> dict[str, Any]:
        measured, seconds = {}, 0.0
        for name, build in networks:
            network, took = bench.train(build, bench.options.steps, seed)
            measured[name] = bench.psnrs(network)[next(iter(bench.tests))]
            seconds += took
        return {"network": max(measured, key=lambda name: measured[name]), "search_seconds": round(seconds)}

    yield "found by trials", lambda: by_trials(evenly=False)
    yield "plain stack", lambda: best_of((stack.name, stack.build) for stack in plain_stacks(budget, SCALE))
    for name, convolution in (("plain stack on luma", "conv_3x3"), ("collapsible stack", "collapsible_3x3")):
        stacks = [(str(stack), partial(stack.build, SCALE)) for stack in stacks_of(Budget(gmacs=budget), convolution)]
        yield name, partial(best_of, stacks)
    yield "random search", lambda: by_trials(evenly=True)
    yield "found with shared weights", with_shared_weights
    yield "ESPCN", lambda: {"network": widest(espcn, budget, SCALE).name, "search_seconds": 0}
    yield "FSRCNN", lambda: {"network": widest(fsrcnn, budget, SCALE).name, "search_seconds": 0}
    yield "paper's cells", lambda: {"network": _paper(budget), "search_seconds": 0}
    for stack in plain_stacks(budget, SCALE):  # each by itself, if --rows asks for it
        yield stack.name, partial(dict, network=stack.name, search_seconds=0)


def _paper(budget: float) -> str:
    """Return the dearest of the paper's networks within a budget, of 6 blocks."""
    fitting = {}
    for genotype in (HNAS_A, HNAS_B, HNAS_C):
        for width in range(3, 65):
            placed = replace(genotype, position=6, depth=6, width=width)
            gmacs = cost_table(SCALE)(placed).gmacs
            if gmacs <= budget:
                fitting[gmacs] = str(placed)
    return fitting[max(fitting)] if fitting else ""


def build_of(name: str, budget: float) -> Callable[[], nn.Module]:
    """Return what builds the network of a result."""
    if name.startswith("Genotype"):
        genotype = Genotype.from_string(name)

        def build() -> nn.Module:
            network: nn.Module = genotype.build(SCALE)
            interpolate(network)
            return network

        return build
    written: list[Written] = [*plain_stacks(budget, SCALE), widest(espcn, budget, SCALE), widest(fsrcnn, budget, SCALE)]
    return next(found for found in written if found.name == name).build


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the results as a Markdown table, mean and range over the seeds."""
    groups: dict[tuple[float, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["budget"], row["name"]].append(row)
    tests = list(rows[0]["psnr"]) if rows else []
    yield f"| budget (GMAC) | | {' | '.join(tests)} | GMAC | parameters | seeds | CPU s to find, to train |"
    yield "|---|---|" + "---|" * (len(tests) + 4)
    for (budget, name), found in sorted(groups.items(), key=lambda item: (item[0][0], -_mean(item[1], tests[0]))):
        cells = []
        for test in tests:
            values = [row["psnr"][test] for row in found]
            spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.2f}{spread}")
        cost = " | ".join((f"{found[0]['gmacs']:.2f}", f"{found[0]['params']:,}"))
        seconds = ", ".join(
            str(round(statistics.fmean(row[kind] for row in found))) for kind in ("search_seconds", "training_seconds")
        )
        yield f"| {budget:g} | {name} | {' | '.join(cells)} | {cost} | {len(found)} | {seconds} |"


def _mean(rows: list[dict[str, Any]], test: str) -> float:
    return statistics.fmean(row["psnr"][test] for row in rows)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help='folder of training images, or "embedded:photos" for those that come along')
    parser.add_argument("--test", action="append", default=[], help="a test set; the first chooses among stacks")
    parser.add_argument("--budgets", type=float, nargs="+", default=[4.0, 1.0, 16.0], help="in GMAC")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", help='only these, by name; also single stacks, as "plain stack, 6 x 16"')
    parser.add_argument("--steps", type=int, default=10_000, help="of the last training (default: 10000)")
    parser.add_argument("--limit", type=int, default=0, help="images of the searches (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="file of results")
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    if options.table:
        print("\n".join(table(read(options.out))))
        return
    torch.set_num_threads(1)
    bench = Bench(options)
    for seed in options.seeds:
        for budget in options.budgets:
            for name, find in candidates(bench, budget, seed):
                wanted = name in options.rows if options.rows else name in _ROWS
                if not wanted or bench.row(budget=budget, seed=seed, name=name):
                    continue
                found = find()
                if not found["network"]:
                    continue
                build = build_of(found["network"], budget)
                network, seconds = bench.train(build, options.steps, seed)
                with torch.device("meta"):
                    cost = profile(build(), torch.zeros(1, 3, 480, 480))
                bench.write(
                    {
                        "budget": budget,
                        "seed": seed,
                        "name": name,
                        **found,
                        "gmacs": cost.gmacs,
                        "params": cost.params,
                        "steps": options.steps,
                        "psnr": bench.psnrs(network),
                        "training_seconds": round(seconds),
                    }
                )
    print("\n".join(table(bench.rows)))


if __name__ == "__main__":
    os.environ.setdefault("NNI_FRAMEWORK", "none")
    main()
