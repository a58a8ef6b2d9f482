"""What it brings that the network level sees the cells, where depth, width and position are decided under a budget.

    python benchmarks/conditioning.py --out conditioning.jsonl

A part of the efficient space that is small enough to train all of it: every architecture within ``--budget`` is trained
for ``--steps`` steps on the embedded photographs, once, and measured as a trial is. The controller then searches the
table of the results, conditioned and not, with the model of the rewards that chooses among candidates and without it,
beside random search, ``--seeds`` times each. Printed is a Markdown table. Each training is written at once, and what is
in the file is not computed again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from at_equal_price_parts.training import SCALE, read

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.reward import JointReward
from strategies.agent import SearchAgent
from strategies.budget import AffordableChoices
from strategies.layout import SpaceLayout
from strategies.settings import SMALL_BUDGET, PolicySettings

FREE: Mapping[str, Sequence[Any]] = {
    "normal/input_2_0": (1,),
    "normal/op_2_0": ("conv_3x3", "collapsible_3x3"),
    "normal/input_3_0": (2,),
    "normal/op_3_0": ("skip", "collapsible_3x3"),
    "normal/input_4_0": (1, 3),
    "normal/op_4_0": ("skip", "collapsible_3x3"),
    "upsampling/input_2_0": (1,),
    "upsampling/op_2_0": ("sub_pixel_3x3", "sub_pixel_1x1"),
    "upsampling/input_3_0": (2,),
    "upsampling/op_3_0": ("sub_pixel_3x3",),
    "depth": (2, 3, 4, 5, 6, 8),
    "width": (8, 10, 12, 16, 20, 24),
    "upsample_position": (1, 2, 3, 4, 5, 6, 8),
}
"""One to three convolutions in a cell, in a row or not; what writes the image; and all of the network level."""

RANDOM = {"candidates": 1, "entropy_weight": 0.0, "learning_rate": 1e-9}
CONTENDERS: Mapping[str, tuple[bool, Mapping[str, Any]]] = {
    "conditioned": (True, SMALL_BUDGET),
    "not conditioned": (False, SMALL_BUDGET),
    "conditioned, drawn from the policy": (True, {**SMALL_BUDGET, "candidates": 1}),
    "not conditioned, drawn from the policy": (False, {**SMALL_BUDGET, "candidates": 1}),
    "random": (True, RANDOM),
}
"""Name -> whether the network level sees the cells, and how the controller learns."""

TOP = 0.05
"""Share of the table that a search is to reach."""

Choices = tuple[int, ...]


def layout() -> SpaceLayout:
    """Return the decisions of the part of the space."""
    return SpaceLayout.from_search_space(
        {label: {"_type": "choice", "_value": list(values)} for label, values in FREE.items()}
    )


def train_all(affordable: AffordableChoices, options: argparse.Namespace) -> dict[Choices, float]:
    """Train every architecture that was not trained yet; returns the PSNR of each."""
    settings = TrialSettings(
        smaller_copies=True,
        steps=options.steps,
        batch=8,
        patch=48,
        measured_patches=128,
        reports=1,
        threads=1,
        scale=SCALE,
    )
    known = {row["genotype"]: row["psnr"] for row in read(options.out)}
    found = {}
    for choices in affordable.enumerate():
        genotype = Genotype.from_sample(affordable.layout.decode(choices))
        if str(genotype) not in known:
            result, _ = evaluate(genotype, JointReward(1.0), Training(settings))
            assert result.psnr is not None
            known[str(genotype)] = result.psnr
            with open(options.out, "a", encoding="utf-8") as file:
                file.write(json.dumps({"genotype": str(genotype), "psnr": result.psnr, "gmacs": result.gmacs}) + "\n")
        found[choices] = known[str(genotype)]
    return found


def search(psnrs: Mapping[Choices, float], budget: Budget, name: str, seed: int, trials: int) -> list[float]:
    """Return the PSNR of each trial of a search."""
    conditioned, learning = CONTENDERS[name]
    agent = SearchAgent(
        layout(),
        PolicySettings(**learning),
        seed=seed,
        conditioned=conditioned,
        budget=budget,
        start_with_stacks=False,
    )
    found = []
    for _ in range(trials):
        (sample,) = agent.propose()
        found.append(psnrs[tuple(agent.layout.encode(sample))])
        agent.learn(sample, found[-1])
    return found


def table(psnrs: Mapping[Choices, float], options: argparse.Namespace) -> Iterator[str]:
    """Yield the results as a Markdown table."""
    ranked = sorted(psnrs.values(), reverse=True)
    goal = ranked[max(1, round(TOP * len(ranked))) - 1]
    yield f"{len(ranked)} architectures within {options.budget:g} GMAC, {ranked[-1]:.2f} to {ranked[0]:.2f} dB;"
    yield f"the top {TOP:.0%} from {goal:.2f} dB, the best without a second {ranked[0] - ranked[1]:.3f} dB ahead.\n"
    places = [options.trials // 4, options.trials // 2, options.trials]
    heads = " | ".join(f"best of {place}, below the table's" for place in places)
    yield f"| controller | trials to the top {TOP:.0%} | {heads} |\n|---|---|{'---|' * len(places)}"
    budget = Budget(options.budget)
    for name in CONTENDERS:
        runs = [search(psnrs, budget, name, seed, options.trials) for seed in range(options.seeds)]
        needed = [
            next((index for index, psnr in enumerate(run, start=1) if psnr >= goal), options.trials) for run in runs
        ]
        cells = [_spread(needed, 0)]
        for place in places:
            cells.append(_spread([ranked[0] - max(run[:place]) for run in runs], 3))
        yield f"| {name} | {' | '.join(cells)} |"


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.fmean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Train what is missing, search the table, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file of the trainings")
    parser.add_argument("--budget", type=float, default=1.0, help="in GMAC (default: 1)")
    parser.add_argument("--steps", type=int, default=300, help="of a training, 8 patches each (default: 300)")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each kind (default: 20)")
    parser.add_argument("--trials", type=int, default=40, help="of a search (default: 40)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    psnrs = train_all(AffordableChoices(layout(), Budget(options.budget)), options)
    print("\n".join(table(psnrs, options)))


if __name__ == "__main__":
    main()
