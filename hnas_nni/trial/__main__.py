"""One trial of the search: train an architecture for a few steps, measure it, and report the joint reward.

NNI starts it as ``python -m hnas_nni.trial``; by hand it runs without NNI as
``python -m hnas_nni.trial --genotype HNAS-A --steps 200``. Imports are kept small, because a trial is a process and
pays for them each time.
"""

from __future__ import annotations

if __name__ == "__main__":  # before what the process of a trial does not need where a server runs it
    from hnas_nni.architecture.own_modules import load_modules
    from hnas_nni.trial.client import hand_over

    hand_over()
    load_modules()

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import published
from hnas_nni.architecture.spaces import PAPER, SPACES
from hnas_nni.foreign_text import cut
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.settings.options import OnceParser, add_options, given
from hnas_nni.training.memory import keep_freed_memory
from hnas_nni.trial.client import OPTION
from hnas_nni.trial.evaluation import Training, TrialResult, evaluate
from hnas_nni.trial.experiment_folder import experiment_folder
from hnas_nni.trial.final_result import note_final_result, noted_final_result
from hnas_nni.trial.parameters import TrialParameters
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import TrialSettings
from hnas_nni.trial.weights_client import CommonWeights

if TYPE_CHECKING:
    from torch import nn


def _parser() -> argparse.ArgumentParser:
    parser = OnceParser(
        prog="python -m hnas_nni.trial",
        description="Evaluate one architecture: train it for a few steps, report PSNR, multiply-adds and reward. "
        "Under NNI the architecture comes from the tuner; by hand it is --genotype.",
        epilog="example: python -m hnas_nni.trial --genotype HNAS-A --layers 12 --steps 200",
    )
    parser.add_argument(
        "--genotype",
        metavar="FILE",
        help="a genotype's JSON file, HNAS-A, HNAS-B or HNAS-C; paper or efficient for a random one of that space",
    )
    parser.add_argument(
        "--shared-weights", type=Path, metavar="FILE", help="database of shared weights (under NNI: the experiment's)"
    )
    parser.add_argument("--no-sharing", action="store_true", help="train each architecture from scratch")
    parser.add_argument(
        "--stages",
        type=Path,
        metavar="DIR",
        help="where trials leave their weights for the next rung (under NNI: the experiment's folder); on several "
        "machines, a folder that all of them see",
    )
    parser.add_argument(OPTION, action="store_true", help="import everything anew in this process (under NNI)")
    parser.add_argument("--output", type=Path, metavar="DIR", help=f"folder for {MODEL_FILE} (under NNI: the trial's)")
    add_options(parser, TrialSettings)
    add_options(parser, JointReward, dict.fromkeys(JointReward.stated(), "the tuner's, or else {}"))
    return parser


def _reward(options: argparse.Namespace, from_tuner: JointReward | None) -> JointReward:
    chosen = given(options, JointReward)
    if from_tuner is None:
        return JointReward(**chosen)
    for name, value in chosen.items():
        if value != getattr(from_tuner, name):
            option = JointReward.flag(name)
            raise ValueError(
                f"{option}: {value} here but {getattr(from_tuner, name)} in the tuner's classArgs; remove one of them"
            )
    return from_tuner


def _genotype_by_hand(name: str | None, layers: int, seed: int) -> Genotype:
    if name is None:
        raise ValueError("--genotype: give a genotype's file, HNAS-A, HNAS-B, HNAS-C, paper or efficient")
    if name in SPACES:
        return Genotype.random(seed, layers, SPACES[name])
    return published(name, layers) or Genotype.from_json(name)


def _run_by_hand(options: argparse.Namespace, settings: TrialSettings) -> None:
    genotype = _genotype_by_hand(options.genotype, settings.layers, settings.seed)
    reward = _reward(options, None)
    print(genotype, file=sys.stderr)
    training = Training(settings, None if options.no_sharing else options.shared_weights)
    result, network = evaluate(genotype, reward, training, _print_psnr)
    if network is None:
        print(f"above the budget of {settings.bound()}: not trained", file=sys.stderr)
    elif options.output is not None:
        _save(network, options.output)
    print(json.dumps(result.to_nni(genotype)))


def _run_under_nni(options: argparse.Namespace, settings: TrialSettings) -> None:
    import nni

    if options.genotype is not None:
        raise ValueError("--genotype: only by hand; under NNI the tuner chooses the architecture")
    handed = nni.get_next_parameter()
    folder = Path(os.environ["NNI_OUTPUT_DIR"])
    if (before := noted_final_result(folder, handed)) is not None:
        nni.report_final_result(before)
        return
    parameters = TrialParameters.from_nni(handed)
    genotype, stage = parameters.genotype, parameters.stage
    common = None if parameters.weights_at is None else CommonWeights(parameters.weights_at)
    shared_weights = None if options.no_sharing else options.shared_weights
    shares = not options.no_sharing and genotype.space is PAPER and stage is None and shared_weights is None
    leaves = stage is not None and options.stages is None
    if common is None and os.environ["NNI_PLATFORM"] != "local":
        _check_machines(shares, leaves)
    experiment = None
    if common is not None and (shares or leaves):
        shared_weights, experiment = common if shares else None, folder
    elif shares or leaves:
        experiment = experiment_folder(folder, nni.get_experiment_id())
    elif stage is not None:
        experiment = options.stages / nni.get_experiment_id()
    if shares and common is None:
        from hnas_nni.trial.shared_weights import FILE_NAME

        assert experiment is not None
        shared_weights = experiment / FILE_NAME
    training = Training(settings, shared_weights, nni.get_sequence_id(), stage, experiment, common if leaves else None)
    reward = _reward(options, parameters.reward)
    report = lambda result: nni.report_intermediate_result(result.on_the_way())  # noqa: E731
    result, network = evaluate(genotype, reward, training, report)
    if network is not None:
        _save(network, options.output or folder)
    final = result.to_nni(genotype)
    note_final_result(folder, handed, final)
    nni.report_final_result(final)


def _print_psnr(result: TrialResult) -> None:
    print(f"PSNR {result.psnr:.3f} dB", file=sys.stderr)


def _check_machines(shares: bool, leaves: bool) -> None:
    """Refuse what is in one machine's folder alone, where the next trial may be on another machine."""
    if shares:
        raise ValueError(
            "weights are shared in a file, which each machine would have for itself; with several machines give "
            "--no-sharing, or --shared-weights FILE for one on each"
        )
    if leaves:
        raise ValueError(
            "rungs: the next stage may run on another machine; give --stages DIR, a folder that all machines see, "
            "or take rungs out of classArgs"
        )


def _save(network: nn.Module, folder: Path) -> None:
    from hnas_nni.network.model_file import save

    folder.mkdir(parents=True, exist_ok=True)
    save(network, folder / MODEL_FILE)


def main(arguments: list[str] | None = None) -> int:
    """Run a trial from the command line; returns the exit code, 2 for bad input."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    try:
        settings = TrialSettings(**given(options, TrialSettings))
        _reward(options, None)
        if os.environ.get("NNI_PLATFORM"):
            _run_under_nni(options, settings)
        else:
            _run_by_hand(options, settings)
    except (ValueError, OSError) as error:
        print(cut(f"hnas trial: error: {error}"), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
