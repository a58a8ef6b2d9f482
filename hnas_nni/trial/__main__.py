"""One trial of the search: train an architecture for a few steps, measure it, and report the joint reward.

NNI starts it as ``python -m hnas_nni.trial``; by hand it runs without NNI as
``python -m hnas_nni.trial --genotype HNAS-A --steps 200``. Imports are kept small, because a trial is a process and
pays for them each time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import published
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.settings import FIRST_WEIGHTS
from hnas_nni.trial.evaluation import evaluate
from hnas_nni.trial.parameters import TrialParameters
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import TrialSettings

if TYPE_CHECKING:
    from hnas_nni.network.network import HNASNetwork


def experiment_folder(trial_folder: Path, experiment: str) -> Path:
    """Return the experiment's folder that a trial's folder lies in.

    Raises
    ------
    ValueError
        If no parent bears the experiment's id.
    """
    for folder in trial_folder.parents:
        if folder.name == experiment:
            return folder
    raise ValueError(
        f"{trial_folder}: not inside a folder of experiment {experiment}; "
        "give --shared-weights FILE on a disk that all trials see, or --no-sharing"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hnas_nni.trial",
        description="Evaluate one architecture: train it for a few steps, report PSNR, multiply-adds and reward. "
        "Under NNI the architecture comes from the tuner; by hand it is --genotype.",
        epilog="example: python -m hnas_nni.trial --genotype HNAS-A --layers 12 --steps 200",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = TrialSettings()
    parser.add_argument("--genotype", metavar="FILE", help="a genotype's JSON file, HNAS-A, HNAS-B, HNAS-C or random")
    parser.add_argument("--data", default=default.data, help='folder of images, or "photos" for those that come along')
    parser.add_argument("--limit", type=int, default=default.limit, help="images of each split at most; 0 for all")
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), default=default.scale, help="upscaling factor")
    parser.add_argument("--channels", type=int, default=default.channels, help="C, channels of an operation")
    parser.add_argument("--layers", type=int, default=default.layers, help="L, blocks of the network")
    parser.add_argument("--steps", type=int, default=default.steps, help="training steps")
    parser.add_argument("--batch", type=int, default=default.batch, help="patches in a step")
    parser.add_argument("--patch", type=int, default=default.patch, help="side of a patch in HR pixels")
    parser.add_argument(
        "--learning-rate", type=float, default=default.learning_rate, help="at the first step; decays by a cosine"
    )
    parser.add_argument(
        "--measured-patches", type=int, default=default.measured_patches, help="patches that PSNR is measured on"
    )
    parser.add_argument("--reports", type=int, default=default.reports, help="intermediate PSNRs to report")
    parser.add_argument(
        "--first-weights",
        choices=FIRST_WEIGHTS,
        default=default.first_weights,
        help="those of an interpolation, or random ones as the authors' code has; give these --learning-rate 1e-3",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of weights, batches and data split")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default=default.device, help="where to compute")
    parser.add_argument("--threads", type=int, default=default.threads, help="CPU threads; 0 for torch's default")
    parser.add_argument(
        "--lambda",
        dest="reward_lambda",
        type=float,
        help="weight of PSNR against cost in the reward; left out: the tuner's, or else 0.6",
    )
    parser.add_argument("--cost-scale", type=float, help="dB that a GMAC costs; left out: the tuner's, or else 0.05")
    parser.add_argument(
        "--shared-weights", type=Path, metavar="FILE", help="database of shared weights (under NNI: the experiment's)"
    )
    parser.add_argument("--no-sharing", action="store_true", help="train each architecture from scratch")
    parser.add_argument("--output", type=Path, help=f"folder for {MODEL_FILE} (under NNI: the trial's)")
    return parser


def _reward(options: argparse.Namespace, from_tuner: JointReward | None) -> JointReward:
    given = {
        name: value
        for name, value in (("weight", options.reward_lambda), ("cost_scale", options.cost_scale))
        if value is not None
    }
    if from_tuner is None:
        return JointReward(**given)
    for name, value in given.items():
        if value != getattr(from_tuner, name):
            option = "--lambda" if name == "weight" else "--cost-scale"
            raise ValueError(
                f"{option}: {value} here but {getattr(from_tuner, name)} in the tuner's classArgs; remove one of them"
            )
    return from_tuner


def _genotype_by_hand(name: str | None, layers: int, seed: int) -> Genotype:
    if name is None:
        raise ValueError("--genotype: give a genotype's file, HNAS-A, HNAS-B, HNAS-C or random")
    if name == "random":
        return Genotype.random(seed, layers)
    return published(name) or Genotype.from_json(name)


def _run_by_hand(options: argparse.Namespace, settings: TrialSettings) -> None:
    genotype = _genotype_by_hand(options.genotype, settings.layers, settings.seed)
    reward = _reward(options, None)
    print(genotype, file=sys.stderr)
    result, network = evaluate(
        genotype,
        reward,
        settings,
        shared_weights=None if options.no_sharing else options.shared_weights,
        report=lambda psnr: print(f"PSNR {psnr:.3f} dB", file=sys.stderr),
    )
    if options.output is not None:
        _save(network, options.output)
    print(json.dumps(result.to_nni(genotype)))


def _run_under_nni(options: argparse.Namespace, settings: TrialSettings) -> None:
    import nni

    if options.genotype is not None:
        raise ValueError("--genotype: only by hand; under NNI the tuner chooses the architecture")
    parameters = TrialParameters.from_nni(nni.get_next_parameter())
    folder = Path(os.environ["NNI_OUTPUT_DIR"])
    shared_weights = options.shared_weights
    if shared_weights is None and not options.no_sharing:
        from hnas_nni.trial.shared_weights import FILE_NAME

        shared_weights = experiment_folder(folder, nni.get_experiment_id()) / FILE_NAME
    result, network = evaluate(
        parameters.genotype,
        _reward(options, parameters.reward),
        settings,
        shared_weights=None if options.no_sharing else shared_weights,
        number=nni.get_sequence_id(),
        report=nni.report_intermediate_result,
    )
    _save(network, options.output or folder)
    nni.report_final_result(result.to_nni(parameters.genotype))


def _save(network: HNASNetwork, folder: Path) -> None:
    from hnas_nni.network.model_file import save

    folder.mkdir(parents=True, exist_ok=True)
    save(network, folder / MODEL_FILE)


def main(arguments: list[str] | None = None) -> int:
    """Run a trial from the command line; returns the exit code, 2 for bad input."""
    options = _parser().parse_args(arguments)
    settings = TrialSettings(**{name: getattr(options, name) for name in TrialSettings.__dataclass_fields__})
    try:
        settings.check()
        _reward(options, None)
        if os.environ.get("NNI_PLATFORM"):
            _run_under_nni(options, settings)
        else:
            _run_by_hand(options, settings)
    except (ValueError, OSError) as error:
        print(f"hnas trial: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
