"""How many samples the controller needs on the full HNAS space, with rewards that cost nothing to compute.

Prints a Markdown table: samples until the first architecture in the top 1 %, 0.1 % and 0.01 % of the space,
and the best reward within the budget, as mean and standard deviation over the seeds. Each seed has a reward,
a controller and random draws of its own; all contenders share a seed's reward.

    python benchmarks/synthetic_search.py --seeds 10 --workers 2 --plot search.png
    python benchmarks/synthetic_search.py --cost
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from hnas_nni.architecture.cells import input_label, operation_label
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import PAPER, POSITION_LABEL
from strategies.agent import SearchAgent
from strategies.controller import HierarchicalController
from strategies.layout import SpaceLayout
from strategies.policy_gradient import PolicyGradient
from strategies.settings import SMALL_BUDGET, PolicySettings

LAYERS = 12
TOP_SHARES = (1e-2, 1e-3, 1e-4)
CENSUS = 300_000
"""Random architectures that tell the quantiles of a reward."""

RANDOM = "random search"
CONTENDERS: dict[str, tuple[bool, Mapping[str, Any]] | None] = {
    RANDOM: None,
    "REINFORCE, paper's settings": (True, {}),
    "small budget, drawn from the policy": (True, {**SMALL_BUDGET, "candidates": 1}),
    "small budget": (True, SMALL_BUDGET),
    "small budget, unconditioned": (False, SMALL_BUDGET),
}
"""Name -> whether the position is conditioned on the cells, and how the agent learns."""


def hnas_layout() -> SpaceLayout:
    """Return the layout of the full space, 7^8 * 5^8 * (2 * 3 * 4 * 5)^4 * 12 architectures."""
    choices: dict[str, list[Any]] = {}
    for cell in PAPER.cells:
        operations = candidates(PAPER, cell)
        for node in PAPER.shapes["normal"].nodes:
            for slot in (0, 1):
                choices[input_label(cell, node, slot)] = list(range(node))
                choices[operation_label(cell, node, slot)] = list(operations)
    choices[POSITION_LABEL] = list(range(1, LAYERS + 1))
    return SpaceLayout.from_choices(choices)


class SyntheticReward:
    """A reward with the traits of the real one, drawn from a seed and scaled to mean 0, standard deviation 1.

    Every pick has a quality, and so has every pair of an edge's input and operation and of a node's two
    operations (all normally distributed, pairs with 0.7 of the spread). Normal operations also have a
    workload; the heavier the normal cell, the later it should be scaled up: the reward falls linearly with
    the distance from that position.
    """

    def __init__(self, layout: SpaceLayout, seed: int) -> None:
        rng = np.random.default_rng(seed)
        sizes = [len(decision.values) for decision in layout.decisions]
        self._single = [rng.normal(size=size) for size in sizes[:-1]]
        self._pairs = {
            (first + a, first + b): 0.7 * rng.normal(size=(sizes[first + a], sizes[first + b]))
            for first in range(0, len(sizes) - 1, 4)
            for a, b in ((0, 2), (1, 3), (2, 3))
        }
        normal = layout.columns()["normal"]
        self._worked = [
            column for column in range(normal.start, normal.stop) if layout.decisions[column].kind == "operation"
        ]
        self._work = rng.uniform(size=sizes[self._worked[0]])
        self._mean, self._std = 0.0, 1.0
        census = self(np.stack([rng.integers(size, size=CENSUS) for size in sizes], 1))
        self._mean, self._std = census.mean(), census.std()
        self.thresholds = {share: (np.quantile(census, 1 - share) - self._mean) / self._std for share in TOP_SHARES}

    def __call__(self, choices: np.ndarray) -> np.ndarray:
        """Return the rewards (n,) of architectures (n, D)."""
        quality = sum(table[choices[:, column]] for column, table in enumerate(self._single))
        quality += sum(table[choices[:, a], choices[:, b]] for (a, b), table in self._pairs.items())
        work = self._work[choices[:, self._worked]].mean(1)
        best_position = np.clip(LAYERS * (0.5 + 3 * (work - 0.5)), 0, LAYERS - 1)
        reward = quality / 8 - 4.4 * np.abs(choices[:, -1] - best_position) / LAYERS
        return (reward - self._mean) / self._std


def search(contender: str, seed: int, budget: int, in_flight: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rewards of a search in the order of its samples, and the thresholds of the top shares."""
    torch.set_num_threads(1)
    layout = hnas_layout()
    reward = SyntheticReward(layout, seed)
    settings = CONTENDERS[contender]
    rewards: list[np.ndarray] = []
    if settings is None:
        sizes = [len(decision.values) for decision in layout.decisions]
        rng = np.random.default_rng(1_000_000 + seed)
        rewards.append(reward(np.stack([rng.integers(size, size=budget) for size in sizes], 1)))
    else:
        conditioned, learning = settings
        agent = SearchAgent(layout, PolicySettings(**learning), seed=seed, conditioned=conditioned)
        while sum(map(len, rewards)) < budget:
            samples = agent.propose(in_flight)
            rewards.append(reward(np.array([layout.encode(sample) for sample in samples])))
            for sample, value in zip(samples, rewards[-1].tolist(), strict=True):
                agent.learn(sample, value)
    return np.concatenate(rewards)[:budget], np.array(list(reward.thresholds.values()))


def needed(rewards: np.ndarray, threshold: float) -> int | None:
    """Return how many samples it took to reach the threshold, None if it was not reached."""
    hits = np.flatnonzero(rewards >= threshold)
    return int(hits[0]) + 1 if len(hits) else None


def table(results: dict[str, list[tuple[np.ndarray, np.ndarray]]], budget: int) -> Iterator[str]:
    """Yield the lines of the Markdown table; a search that never got there counts with the whole budget."""
    yield f"| | {' | '.join(f'top {share:.2%}' for share in TOP_SHARES)} | best of {budget} |"
    yield "|---|" + "---|" * (len(TOP_SHARES) + 1)
    for contender, runs in results.items():
        cells = []
        for column in range(len(TOP_SHARES)):
            counts = [needed(rewards, thresholds[column]) for rewards, thresholds in runs]
            filled = [budget if count is None else count for count in counts]
            reached = sum(count is not None for count in counts)
            at_least = ">= " if reached < len(runs) else ""
            cells.append(f"{at_least}{np.mean(filled):.0f} ± {np.std(filled):.0f} ({reached}/{len(runs)})")
        best = [rewards.max() for rewards, _ in runs]
        yield f"| {contender} | {' | '.join(cells)} | {np.mean(best):.2f} ± {np.std(best):.2f} |"


def plot(results: dict[str, list[tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    """Draw the best reward so far against the samples, mean and standard deviation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for contender, runs in results.items():
        best = np.stack([np.maximum.accumulate(rewards) for rewards, _ in runs])
        samples = np.arange(1, best.shape[1] + 1)
        (line,) = axes.plot(samples, best.mean(0), label=contender)
        axes.fill_between(
            samples,
            best.mean(0) - best.std(0),
            best.mean(0) + best.std(0),
            color=line.get_color(),
            alpha=0.15,
        )
    axes.set(xlabel="architectures tried", ylabel="best reward so far (standard deviations above random)")
    axes.legend()
    figure.savefig(path, dpi=150)


def cost_table(repeats: int = 20) -> Iterator[str]:
    """Yield a Markdown table of the time per batch and per architecture on one thread."""
    torch.set_num_threads(1)
    controller = HierarchicalController(hnas_layout())
    plain, elite = PolicyGradient(controller), PolicyGradient(controller, **SMALL_BUDGET)

    def milliseconds(work: Callable[[], object]) -> float:
        work()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1e3

    yield "| n | sample(n) ms | per architecture | update ms | update with elite ms |"
    yield "|---|---|---|---|---|"
    for n in (1, 2, 8, 32, 128, 512):
        choices, rewards = controller.sample(n).choices, torch.randn(n)
        sampled = milliseconds(partial(controller.sample, n))
        updates = [milliseconds(partial(learner.update, choices, rewards)) for learner in (plain, elite)]
        yield f"| {n} | {sampled:.1f} | {sampled / n:.2f} | {updates[0]:.1f} | {updates[1]:.1f} |"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="searches per contender (default: 10)")
    parser.add_argument("--budget", type=int, default=500, help="samples per search (default: 500)")
    parser.add_argument("--in-flight", type=int, default=2, help="architectures tried at a time (default: 2)")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per CPU)")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw the learning curves")
    parser.add_argument("--cost", action="store_true", help="measure time per batch instead")
    arguments = parser.parse_args()
    for name in ("seeds", "budget", "in_flight", "workers"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: give a number of at least 1")
    if arguments.cost:
        print("\n".join(cost_table()))
        return
    results: dict[str, list[Any]] = {contender: [None] * arguments.seeds for contender in arguments.only}
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = {
            pool.submit(search, contender, seed, arguments.budget, arguments.in_flight): (contender, seed)
            for contender in results
            for seed in range(arguments.seeds)
        }
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="search"):
            contender, seed = jobs[job]
            results[contender][seed] = job.result()
    print("\n".join(table(results, arguments.budget)))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
