"""Run folders as a weight-sharing search leaves them, written by the search's own writer."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from hnas_nni import Genotype
from hnas_nni.architecture.paper import paper_networks
from hnas_nni.cost import cost_table
from hnas_nni.searches import MeasuredArchitecture
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.trial.reward import JointReward

SIZES = {"scale": 2, "channels": 8, "layers": 12}
EPOCHS = 40
ARCHITECTURES = 12
REWARD = JointReward(0.6)
MEASURED_AGAIN = Genotype.random(100, SIZES["layers"])
"""An architecture that is measured after each epoch."""


def write_run(
    path: Path, *, epochs: int = EPOCHS, finished: bool = True, architectures: int = ARCHITECTURES
) -> SearchFolder:
    """Write the folder of a search of :data:`EPOCHS` epochs that has come as far as `epochs`.

    The curves have the shape of a search that settles on position 11. Two architectures are measured after each epoch:
    one that comes at no other, and :data:`MEASURED_AGAIN`. Costs are those of the architectures, PSNRs grow with the
    parameters and, on the way, with the epochs.
    """
    run = SearchFolder(path)
    settings = {**SIZES, "reward_lambda": REWARD.weight, "cost_scale": REWARD.cost_scale, "epochs": EPOCHS, "seed": 3}
    run.create(
        {**settings, "data": ["embedded:photos"], "note": "<b>&</b></script>"}, "hnas search --epochs 40 --out run"
    )
    if epochs:
        numbers = range(1, epochs + 1)
        run.write_measured([entry for number in numbers for entry in _measured(number)])
        run.write_epochs([_epoch(number) for number in numbers])
    if finished:
        paper = paper_networks(SIZES["layers"])
        run.write_published([replace(_of(genotype), published=name) for name, genotype in paper.items()])
        run.write_architectures(_ranking(architectures))
    return run


def _epoch(number: int) -> dict[str, float]:
    done = number / EPOCHS
    gmacs, psnr = 30 - 12 * done, 24 + 8 * (1 - math.exp(-4 * done))
    weights = [math.exp(-((position - 11) ** 2) * done) for position in range(1, SIZES["layers"] + 1)]
    row = {"epoch": number, "seconds": 12.5 * number, "loss": 0.1 / number, "reward": REWARD(psnr, gmacs)}
    row |= {"psnr": psnr, "gmacs": gmacs, "validation_psnr": psnr - 0.5, "validation_psnr_best": psnr + 0.25}
    row |= {"validation_reward": REWARD(psnr - 0.5, gmacs)}
    row |= {"entropy_normal": 25.1 - 9 * done, "entropy_upsampling": 22.4 - 11 * done}
    row |= {"entropy_position": 2.48 - 2 * done, "weight_learning_rate": 1e-3, "controller_learning_rate": 3e-4}
    return row | {f"position_{index}": weight / sum(weights) for index, weight in enumerate(weights, start=1)}


def _measured(number: int) -> list[MeasuredArchitecture]:
    one = Genotype.random(100 + number, SIZES["layers"])
    loss = 3 * math.exp(-number / 10)
    return [replace(_of(genotype, loss), epoch=number) for genotype in (one, MEASURED_AGAIN)]


def _of(genotype: Genotype, loss: float = 0.0) -> MeasuredArchitecture:
    cost = cost_table(**SIZES)(genotype)
    psnr = 25 + 2 * math.log10(cost.params) - loss
    return MeasuredArchitecture(genotype, REWARD(psnr, cost.gmacs), psnr, cost.gmacs, cost.params, REWARD.weight)


def _ranking(number: int) -> list[MeasuredArchitecture]:
    entries = [_of(Genotype.random(seed, SIZES["layers"])) for seed in range(number)]
    entries.sort(key=lambda entry: -entry.reward)
    ranking = []
    for rank, entry in enumerate(entries, start=1):
        # None that is cheaper is as good, and none that is as cheap is better.
        better = [other for other in entries if other.psnr >= entry.psnr and other.gmacs <= entry.gmacs]
        ranking.append(replace(entry, rank=rank, pareto=better == [entry]))
    return ranking
