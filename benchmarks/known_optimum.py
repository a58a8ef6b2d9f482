"""Samples until the one best architecture of a small two-level space is found.

    python benchmarks/known_optimum.py --seeds 10 --plot known_optimum.png

Two cells of three choices each and a position of eight values, 5,832 architectures. The reward counts the right
choices in the cells and takes off the distance of the position from the best one, which depends on the cells: only
one architecture is best. Two architectures that were not tried before are drawn and learnt from at a time, as the
tuner does it; ``--repeat`` draws from the plain policy.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from strategies import SMALL_BUDGET, HierarchicalController, PolicyGradient, SpaceLayout
from strategies.exploration import draw_unseen

POSITIONS = 8
LAYOUT = SpaceLayout.from_choices(
    {f"{cell}/choice_{index}": [0, 1, 2] for cell in ("first", "second") for index in range(3)}
    | {"position": list(range(POSITIONS))}
)
TARGET = torch.tensor([0, 2, 1, 1, 0, 2])
CONTENDERS = {"conditioned": True, "unconditioned": False, "random search": None}


def reward(choices: Tensor) -> Tensor:
    """Return the reward of architectures (n, 7); only one reaches 6."""
    cells = choices[:, :6]
    best_position = (cells * torch.tensor([1, 2, 3, 4, 5, 6])).sum(1) % POSITIONS
    return (cells == TARGET).sum(1) - (choices[:, 6] - best_position).abs() / 2


def search(conditioned: bool | None, seed: int, repeat: bool) -> list[float]:
    """Return the best reward after each sample, until the optimum is found."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    best = -float("inf")
    curve: list[float] = []
    seen: set[tuple[int, ...]] = set()
    if conditioned is None:
        order = torch.randperm(LAYOUT.size, generator=generator)
        sizes = torch.tensor([3] * 6 + [POSITIONS])
        strides = sizes.flip(0).cumprod(0).flip(0) // sizes
        batches = list((order[:, None] // strides % sizes).split(2))
        learner = None
    else:
        learner = PolicyGradient(HierarchicalController(LAYOUT, conditioned=conditioned), **SMALL_BUDGET)
        batches = [torch.empty(0)] * (LAYOUT.size // 2)
    for batch in batches:
        if learner is None:
            choices = batch
        elif repeat:
            choices = learner.controller.sample(2, generator).choices
        else:
            choices = draw_unseen(learner.controller, 2, seen, generator)
        rewards = reward(choices)
        for value in rewards.tolist():
            best = max(best, value)
            curve.append(best)
        if best == len(TARGET):
            break
        if learner is not None:
            learner.update(choices, rewards)
    return curve


def _plot(curves: dict[str, list[list[float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    longest = max(len(curve) for runs in curves.values() for curve in runs)
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, runs in curves.items():
        filled = torch.tensor([run + [run[-1]] * (longest - len(run)) for run in runs])
        mean, spread = filled.mean(0), filled.std(0)
        (line,) = axes.plot(range(1, longest + 1), mean, label=name)
        axes.fill_between(range(1, longest + 1), mean - spread, mean + spread, color=line.get_color(), alpha=0.15)
    axes.set(xscale="log", xlabel="architectures evaluated", ylabel="best reward so far (6 is the optimum)")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run all searches and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="searches of each kind (default: 10)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the learning curves")
    parser.add_argument("--repeat", action="store_true", help="let the policy propose what was tried before")
    options = parser.parse_args()
    torch.set_num_threads(1)
    curves: dict[str, list[list[float]]] = {}
    print("| | samples to the optimum, mean ± std | median | found |\n|---|---|---|---|")
    for name, conditioned in CONTENDERS.items():
        curves[name] = [search(conditioned, seed, options.repeat) for seed in tqdm(range(options.seeds), desc=name)]
        needed = [len(curve) for curve in curves[name]]
        found = sum(curve[-1] == len(TARGET) for curve in curves[name])
        spread = statistics.stdev(needed) if len(needed) > 1 else 0.0
        print(
            f"| {name} | {statistics.mean(needed):.0f} ± {spread:.0f} | {statistics.median(needed):.0f} "
            f"| {found} of {options.seeds} |",
            flush=True,
        )
    if options.plot is not None:
        _plot(curves, options.plot)


if __name__ == "__main__":
    main()
