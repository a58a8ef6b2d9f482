"""What sharing weights across trials brings, first weights that interpolate, and the tuner: the same budget and seeds.

    python benchmarks/weight_sharing.py --seeds 3

Each search is the tuner and the trial of examples/tuners/hierarchical.yml, one trial after the other in this process,
on the photographs that come along; *drawn evenly* is the same without the tuner. Random first weights have the paper's
learning rate of 1e-3, as they learn too little with the 3e-4 of an interpolation. Printed are the PSNR of the last
third of the trials, the best PSNR and the best reward, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.settings import FIRST_WEIGHTS
from hnas_nni.trial import Training, TrialResult, TrialSettings, evaluate
from hnas_nni.trial.parameters import TrialParameters
from hnas_nni.trial.settings import PAPER_LEARNING_RATE
from search_spaces import search_space_json
from strategies import HierarchicalTuner

_LEARNING_RATES = {"interpolation": PAPER_LEARNING_RATE, "torch": 1e-3}


def search(
    seed: int, trials: int, settings: TrialSettings, shared_weights: Path | None, evenly: bool = False
) -> list[TrialResult]:
    """Run one search, by the tuner or of evenly drawn architectures, and return the trials' results in order."""
    tuner = HierarchicalTuner(**{"lambda": 0.6, "seed": seed})
    tuner.update_search_space(search_space_json(settings.layers))
    results = []
    for number in tqdm(range(trials), desc=f"seed {seed}, {'shared' if shared_weights else 'from scratch'}"):
        sample = tuner.generate_parameters(number)
        if evenly:
            sample |= Genotype.random(1000 * seed + number, settings.layers).to_sample()
        parameters = TrialParameters.from_nni(sample)
        assert parameters.reward is not None
        training = Training(settings, shared_weights, number)
        result, _ = evaluate(parameters.genotype, parameters.reward, training)
        tuner.receive_trial_result(number, sample, result.to_nni(parameters.genotype))
        results.append(result)
    return results


def _summary(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def main() -> None:
    """Run the searches and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="searches of each kind (default: 3)")
    parser.add_argument("--trials", type=int, default=45, help="trials of a search (default: 45)")
    parser.add_argument("--steps", type=int, default=40, help="training steps of a trial (default: 40)")
    parser.add_argument("--layers", type=int, default=6, help="L (default: 6)")
    options = parser.parse_args()
    settings = TrialSettings(layers=options.layers, steps=options.steps, batch=8, patch=48, reports=1, threads=1)
    print("| | PSNR of the last third (dB) | best PSNR (dB) | best reward |\n|---|---|---|---|")
    arms = [(weights, shared, False) for weights in FIRST_WEIGHTS.choices for shared in (True, False)]
    for first_weights, shared, evenly in [*arms, ("interpolation", True, True)]:
        settings = replace(settings, first_weights=first_weights, learning_rate=_LEARNING_RATES[first_weights])
        late, best, reward = [], [], []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                weights = Path(folder) / "shared_weights.sqlite" if shared else None
                results = search(seed, options.trials, settings, weights, evenly)
            late.append(statistics.mean(result.psnr for result in results[-(len(results) // 3) :]))
            best.append(max(result.psnr for result in results))
            reward.append(max(result.reward for result in results))
        name = f"{first_weights}, {'shared across trials' if shared else 'each from scratch'}"
        name += ", drawn evenly" if evenly else ""
        print(f"| {name} | {_summary(late)} | {_summary(best)} | {_summary(reward)} |", flush=True)


if __name__ == "__main__":
    main()
