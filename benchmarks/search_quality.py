"""Does the search find something? Searches of several kinds and seeds at equal cost, each winner trained from scratch.

    python benchmarks/search_quality.py controllers --data BSDS500/train --validation Set5 --out runs
    python benchmarks/search_quality.py lambdas --data BSDS500/train --validation Set5 --out runs

``controllers`` compares the hierarchical controller with its ablation, whose position does not depend on the cells, and
with random search. Their supernets take the same number of steps. Random search spends what the others spend on
rewarding the controller on ranking more architectures at the end; so all of them run as many pixels through networks.
``lambdas`` repeats the search for the paper's three trade-offs. Winners are trained from scratch under one budget and
measured on the validation images. Everything runs through the ``hnas`` command, in miniature, and goes on where it was
when it is started again. Printed is a Markdown table: mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.data import load_pairs
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.trial.reward import JointReward
from strategies.search import MINIATURE, SearchSettings

_SEARCH = ("epochs", "warmup_epochs", "weight_steps", "learning_rate", "cost_scale")


@dataclass(frozen=True)
class Arm:
    """One kind of search."""

    name: str
    options: tuple[str, ...]
    reward_lambda: float = 0.6


@dataclass(frozen=True)
class Outcome:
    """What one search found, and what became of it."""

    genotype: Genotype
    shared_psnr: float
    shared_reward: float
    psnr: float
    gmacs: float
    seconds: float


def _arms(options: argparse.Namespace) -> list[Arm]:
    if options.experiment == "lambdas":
        return [Arm(f"lambda {value}", ("--lambda", str(value)), value) for value in (0.2, 0.6, 0.9)]
    settings = SearchSettings.miniature(**_length(options))
    rewarded = (settings.epochs - settings.warmup_epochs) * settings.controller_steps * settings.architectures
    pixels = rewarded * settings.controller_batch * settings.patch**2
    measured = sum(pair.hr.shape[0] * pair.hr.shape[1] for pair in load_pairs(options.validation))
    candidates = settings.candidates + pixels // measured
    return [
        Arm("hierarchical", ("--controller", "hierarchical")),
        Arm("unconditioned", ("--controller", "unconditioned")),
        Arm("random", ("--controller", "random", "--candidates", str(candidates))),
    ]


def _length(options: argparse.Namespace) -> dict[str, Any]:
    """What of the miniature's settings was given anew."""
    return {name: getattr(options, name) for name in _SEARCH}


def _run(arm: Arm, seed: int, options: argparse.Namespace) -> Outcome:
    folder = options.out / f"{arm.name.replace(' ', '_')}_{seed}"
    data = ["--data", options.data, "--validation", options.validation, "--seed", str(seed)]
    search = [
        "search",
        "--miniature",
        *(f"--{name.replace('_', '-')}={value}" for name, value in _length(options).items()),
        "--threads",
        "1",
        "--quiet",
        *data,
        *arm.options,
    ]
    _hnas([*search, "--out", str(folder / "search")])
    run = SearchFolder(folder / "search")
    winner = run.architectures()[0]
    settings = SearchSettings(**run.about()["settings"])
    sizes = [f"--{name}={getattr(settings, name)}" for name in ("scale", "layers", "channels")]
    length = [f"--epochs={options.train_epochs}", f"--steps-per-epoch={options.train_steps}"]
    batch = ["--batch=8", "--patch=48", f"--validate-every={options.train_epochs}"]
    trained = folder / "trained"
    _hnas(
        ["train", str(run.path / "winner.json"), "--quiet", *sizes, *length, *batch, *data[:4], "--out", str(trained)]
    )
    measured = _hnas(["evaluate", str(trained / "best.safetensors"), "--data", options.validation, "--json", "--quiet"])
    return Outcome(
        genotype=winner.genotype,
        shared_psnr=winner.psnr,
        shared_reward=winner.reward,
        psnr=json.loads(measured)["models"][0]["sets"][0]["psnr"],
        gmacs=winner.gmacs,
        seconds=run.epochs()[-1]["seconds"],
    )


def _hnas(arguments: list[str]) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hnas_nni.cli", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"hnas {' '.join(arguments)}: {result.stderr[-2000:]}")
    return result.stdout


def _spread(values: list[float], digits: int = 2) -> str:
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def main() -> None:
    """Run the searches and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=("controllers", "lambdas"))
    parser.add_argument("--data", required=True, metavar="DIR", help="images for search and training")
    parser.add_argument("--validation", required=True, metavar="DIR", help="images that winners are measured on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each kind (default: 3)")
    for name in _SEARCH:
        default = MINIATURE[name]
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            help="as hnas search takes it (default: %(default)s)",
        )
    parser.add_argument("--train-epochs", type=int, default=2, help="of a winner's training (default: 2)")
    parser.add_argument("--train-steps", type=int, default=1000, help="in each of them (default: 1000)")
    parser.add_argument("--jobs", type=int, default=2, help="searches side by side, one thread each (default: 2)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    arms = _arms(options)
    # Seed by seed, so that a comparison is whole early.
    work = [(arm, seed) for seed in range(options.seeds) for arm in arms]
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(tqdm(pool.map(lambda pair: _run(*pair, options), work), total=len(work), desc="searches"))
    print("| | with shared weights: PSNR (dB) | reward | GMAC | position | trained: PSNR (dB) | reward | search (s) |")
    print("|---|---|---|---|---|---|---|---|")
    for arm in arms:
        found = [outcome for (other, _), outcome in zip(work, outcomes, strict=True) if other is arm]
        reward = JointReward(arm.reward_lambda, options.cost_scale)
        cells = [
            arm.name,
            _spread([outcome.shared_psnr for outcome in found]),
            _spread([outcome.shared_reward for outcome in found]),
            _spread([outcome.gmacs for outcome in found]),
            ", ".join(str(outcome.genotype.position) for outcome in found),
            _spread([outcome.psnr for outcome in found]),
            _spread([reward(outcome.psnr, outcome.gmacs) for outcome in found]),
            _spread([outcome.seconds for outcome in found], 0),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
