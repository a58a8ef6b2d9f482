"""How much a trial of a few steps tells of what its architecture is worth after a longer training.

    python benchmarks/trial_length.py --data BSDS500/train --validation Set5 --out runs

The architectures of ``first_weights.py`` are trained as ``hnas train`` does it and measured on the validation images.
Each is also evaluated by trials of several lengths, from scratch. Printed is a Markdown table of Spearman's rank
correlation of both, and of the multiply-adds with the former. Started again, it goes on with the next training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from first_weights import architectures_to_train
from tqdm import tqdm

from hnas_nni.cost import count
from hnas_nni.training import TrainingSettings, train
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import PAPER_LEARNING_RATE


def rank_correlation(one: list[float], other: list[float]) -> float:
    """Return Spearman's coefficient of values without ties."""
    return float(np.corrcoef(np.argsort(np.argsort(one)), np.argsort(np.argsort(other)))[0, 1])


def main() -> None:
    """Train, evaluate and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="DIR", help="training images")
    parser.add_argument("--validation", required=True, metavar="DIR", help="images that networks are measured on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the trainings")
    parser.add_argument("--random", type=int, default=9, help="random architectures beside the published (default: 9)")
    parser.add_argument("--train-steps", type=int, default=1500, help="of a training (default: 1500)")
    parser.add_argument("--steps", type=int, nargs="+", default=(40, 160, 640), help="of trials (default: 40 160 640)")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=(PAPER_LEARNING_RATE,), help="of trials")
    parser.add_argument("--trial-data", default="photos", help="images of the trials (default: those of config.yml)")
    parser.add_argument("--channels", type=int, default=8, help="C (default: 8)")
    parser.add_argument("--layers", type=int, default=6, help="L (default: 6)")
    options = parser.parse_args()
    sizes = {"channels": options.channels, "layers": options.layers, "batch": 8, "patch": 48}
    training = TrainingSettings(
        data=(options.data,), validation=options.validation, epochs=1, steps_per_epoch=options.train_steps, **sizes
    )
    architectures = list(architectures_to_train(options.layers, options.random))
    trained, gmacs = [], []
    for name, genotype in tqdm(architectures, desc="trainings"):
        folder = options.out / f"{name.replace(' ', '_')}_{training.first_weights}"
        best = train(genotype, training, folder, accelerator="cpu", quiet=True).best
        assert best is not None
        trained.append(best["validation_psnr"])
        gmacs.append(count(genotype, training.scale, options.channels, options.layers).gmacs)
    print("| trials, steps | learning rate | rank correlation with the PSNR of the trained networks |\n|---|---|---|")
    for rate in options.learning_rates:
        for steps in options.steps:
            settings = TrialSettings(
                data=options.trial_data, steps=steps, learning_rate=rate, reports=1, threads=1, **sizes
            )
            found = [
                evaluate(genotype, JointReward(), Training(settings))[0].psnr
                for _, genotype in tqdm(architectures, desc=f"trials of {steps} steps")
            ]
            print(f"| {steps} | {rate:g} | {rank_correlation(found, trained):.2f} |", flush=True)
    print(f"| multiply-adds alone | | {rank_correlation(gmacs, trained):.2f} |")


if __name__ == "__main__":
    main()
