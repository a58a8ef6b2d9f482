"""A reward of one's own: the time that a network takes on this machine, in place of multiply-adds.

    python examples/own_reward.py --out found

R = PSNR - price * milliseconds. Multiply-adds are the same everywhere, time is what users wait for: depthwise
convolutions are few multiply-adds that take long on many machines. The table at the end shows how far both agree here.

NNI takes any function of a network as an evaluator; that is all there is to it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from strategies.search.command import quiet_imports


def milliseconds(network: Any, side: int, repetitions: int) -> float:
    """Return the median time of a forward pass for an LR image of ``side x side`` pixels.

    The median, since whatever else the machine does only makes a pass longer. First passes are not counted: they find
    memory and choose kernels. The number of threads is fixed by the caller, as it decides the result.
    """
    import torch

    image = torch.rand(1, 3, side, side)
    times = []
    with torch.inference_mode():
        for _ in range(3):
            network(image)
        for _ in range(repetitions):
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return 1000 * median(times)


def evaluate(network: Any, options: argparse.Namespace) -> None:
    """Train the network of one architecture for some steps, measure it, and report its reward to NNI."""
    import nni

    from hnas_nni.trial import Training, TrialSettings
    from hnas_nni.trial import evaluate as train_and_measure
    from hnas_nni.trial.reward import JointReward

    settings = TrialSettings(
        data="embedded:photos",
        layers=options.layers,
        channels=options.channels,
        steps=options.steps,
        batch=8,
        patch=48,
        seed=options.seed,
        device="cpu",
        threads=options.threads,
    )
    # lambda = 1: PSNR alone, as the price is put on something else here.
    result, trained = train_and_measure(network.genotype, JointReward(weight=1.0), Training(settings))
    took = milliseconds(trained.eval(), options.side, options.repetitions)
    # NNI maximises "default"; the other entries are for us, and for the web UI.
    figures = {"default": result.psnr - options.price * took, "psnr": result.psnr, "ms": took, "gmacs": result.gmacs}
    nni.report_final_result(figures)
    with open(options.out / "trials.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({**figures, "genotype": str(network.genotype)}) + "\n")


def main() -> None:
    """Search, and print all that was measured."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "trials.jsonl").unlink(missing_ok=True)

    quiet_imports()  # NNI's warnings of its dependencies
    import torch
    from nni.nas.evaluator import FunctionalEvaluator
    from nni.nas.experiment import NasExperiment, NasExperimentConfig

    from hnas_nni import Genotype
    from search_spaces import HNASSpace
    from strategies import HierarchicalRL

    torch.set_num_threads(options.threads)
    space = HNASSpace(scale=2, channels=options.channels, layers=options.layers)
    # "sequential": one architecture after another, in this process. Two trials at a time would slow each other down,
    # and the reward would depend on chance.
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=options.trials)
    experiment = NasExperiment(
        space, FunctionalEvaluator(evaluate, options=options), HierarchicalRL(seed=options.seed), config
    )
    experiment.run()
    winner = Genotype.from_sample(experiment.export_top_models(top_k=1, formatter="dict")[0])
    experiment.stop()

    trials = [json.loads(line) for line in (options.out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    trials.sort(key=lambda trial: trial["default"], reverse=True)
    print(f"{'reward':>8} {'PSNR (dB)':>10} {'ms':>8} {'GMAC':>7} {'ms per GMAC':>12}")
    for trial in trials:
        rate = trial["ms"] / trial["gmacs"]
        print(f"{trial['default']:8.3f} {trial['psnr']:10.3f} {trial['ms']:8.2f} {trial['gmacs']:7.2f} {rate:12.2f}")
    winner.to_json(options.out / "winner.json")
    print(f"\nwinner: {winner}\nwritten: {options.out / 'winner.json'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    for name, default, text in (
        ("trials", 12, "architectures"),
        ("steps", 40, "training steps of each"),
        ("layers", 6, "L, blocks of a network"),
        ("channels", 6, "C, channels of an operation"),
        ("side", 96, "side of the LR image that is timed, in pixels"),
        ("repetitions", 15, "timed forward passes"),
        ("threads", 1, "CPU threads"),
        ("seed", 0, "of the controller, weights and batches"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    parser.add_argument("--price", type=float, default=0.02, metavar="X", help="dB for a millisecond (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # bad input: a line, no traceback
        sys.exit(f"own_reward.py: error: {error}")
