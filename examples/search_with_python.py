"""Search with NNI from Python: one experiment, two ways to search it.

    python examples/search_with_python.py --out found
    python examples/search_with_python.py --out found --strategy one-shot

`multi-trial` trains and measures one architecture after another, each in a process of its own under NNI's manager;
watch it in the web UI (--port). `one-shot` trains one supernet in this process, and the controller learns what to take.
Either way the controller is the hierarchical one, and the best architecture goes to DIR/winner.json and DIR/winner.svg.
The photographs that come along are the data; for yours see own_data.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from strategies.search.command import quiet_imports

SCALE = 2


def make_strategy(options: argparse.Namespace) -> Any:
    """Both learn a policy for the cells and, given these, for the place of the upsampling cell."""
    from strategies import HierarchicalOneShot, HierarchicalRL

    if options.strategy == "multi-trial":
        return HierarchicalRL(seed=options.seed)
    # The paper's settings are made for some 10,000 steps of the controller; with hundreds it must move faster.
    return HierarchicalOneShot(
        seed=options.seed, relative=True, learning_rate=3e-3, entropy_weight=0.02, position_weight=1.0
    )


def main() -> None:
    """Search, and write the winner down."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)

    # NNI and torch take seconds to load, so they come after --help; this one also hides their warnings of each other.
    quiet_imports()
    from hnas_nni import Genotype
    from hnas_nni.report import describe, draw_genotype
    from hnas_nni.trial.evaluator import SuperResolution
    from search_spaces import HNASSpace, MendedNasExperiment

    # What to search: all networks of so many blocks; shared weights learn many times faster where nodes average ...
    one_shot = options.strategy == "one-shot"
    normalization = "mean" if one_shot else "none"
    space = HNASSpace(SCALE, options.channels, options.layers, normalization)

    # ... what an architecture is worth: lambda * PSNR - (1 - lambda) * 0.05 * GMAC, after a short training ...
    evaluator = SuperResolution(
        "embedded:photos",
        scale=SCALE,
        weight=options.reward_lambda,
        patch_size=48,
        batch=8,
        epochs=options.epochs if one_shot else 1,
        steps_per_epoch=options.steps,
        architectures_per_epoch=max(options.steps // 2, 1),
        seed=options.seed,
        accelerator="cpu",
    )

    # ... and who proposes architectures.
    strategy = make_strategy(options)
    experiment = MendedNasExperiment(space, evaluator, strategy, loopback_only=True)
    experiment.config.max_trial_number = 1 if one_shot else options.trials
    experiment.config.trial_concurrency = 1 if one_shot else options.concurrency
    # NNI keeps its logs, and the trials theirs, beside the result.
    experiment.config.experiment_working_directory = (options.out / "experiments").resolve()
    experiment.run(port=options.port)  # returns when the search is over

    # The best architectures, each a frozen model of the space; its sample is plain data: what was chosen at each label.
    models = experiment.export_top_models(top_k=3)
    experiment.stop()
    genotypes = [Genotype.from_sample(model.sample) for model in models]
    print(f"\nThe best of the search ({options.strategy}):")
    for rank, (genotype, model) in enumerate(zip(genotypes, models, strict=True), start=1):
        print(f"{rank}. reward {model.metric:.3f}, upsampling at block {genotype.position}")

    winner = genotypes[0]
    winner.to_json(options.out / "winner.json")
    draw_genotype(winner, options.out / "winner.svg", layers=options.layers)
    print(
        f"\n{describe(winner, options.layers)}\n\nwritten: {options.out / 'winner.json'}, {options.out / 'winner.svg'}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the result")
    parser.add_argument("--strategy", choices=("multi-trial", "one-shot"), default="multi-trial")
    for name, default, text in (
        ("trials", 8, "architectures of a multi-trial search"),
        ("concurrency", 2, "trials at a time"),
        ("epochs", 10, "epochs of a one-shot search"),
        ("steps", 40, "training steps of a trial, or of an epoch of a one-shot search (its controller: half)"),
        ("layers", 6, "L, blocks of a network"),
        ("channels", 6, "C, channels of an operation"),
        ("seed", 0, "of the controller, weights and batches"),
        ("port", 8080, "of the web UI, which is for this machine alone"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (%(default)s)")
    parser.add_argument(
        "--lambda", dest="reward_lambda", type=float, default=0.6, metavar="X", help="weight of PSNR (%(default)s)"
    )
    return parser.parse_args()


# Trials import what they need from this file, and must not start a search of their own.
if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # bad input: a line, no traceback
        sys.exit(f"search_with_python.py: error: {error}")
