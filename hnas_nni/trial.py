"""One trial of the search: train an architecture for a few steps, measure it, and report the joint reward.

NNI starts it as ``python -m hnas_nni.trial``; by hand it runs without NNI as
``python -m hnas_nni.trial --genotype HNAS-A --steps 200``. Imports are kept small, because a trial is a process and
pays for them each time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnas_nni.cli.arguments import read_genotype
from hnas_nni.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.parameters import TrialParameters
from hnas_nni.reward import JointReward
from hnas_nni.setting_values import EMBEDDED, FIRST_WEIGHTS, check_choice, check_images, check_seed

if TYPE_CHECKING:
    from hnas_nni.network import HNASNetwork

MODEL_FILE = "model.safetensors"
"""Name under which a trial leaves its trained network in its output folder."""


@dataclass(frozen=True)
class TrialSettings:
    """How architectures are evaluated; the same for all trials of a search.

    Parameters
    ----------
    data
        "photos" for the embedded photographs, or a folder as :func:`hnas_nni.data.load_splits` takes it.
    limit
        At most so many images of each split; 0 for all. A trial decodes its images anew.
    scale, channels, layers
        Sizes of the networks.
    steps
        Training steps on the weight split.
    batch, patch
        Patches in a step, and their side in HR pixels.
    learning_rate
        At the first step; a cosine takes it to a hundredth. Less than the paper's 1e-3, with which a trial of some
        hundred steps loses more of the interpolation that it starts from, or of what earlier trials learnt, than it
        gains.
    measured_patches
        How many patches of the controller split the PSNR is read on.
    reports
        How many times the PSNR is reported on the way.
    first_weights
        One of :data:`hnas_nni.setting_values.FIRST_WEIGHTS`, for whatever no earlier trial has trained.
    seed
        Decides initial weights and batches, together with the trial's number.
    device
        "auto" (CUDA where present), "cpu" or "cuda".
    threads
        CPU threads of torch; 0 leaves torch's default.
    """

    data: str = EMBEDDED
    limit: int = 0
    scale: int = 2
    channels: int = 8
    layers: int = DEFAULT_LAYERS
    steps: int = 100
    batch: int = 16
    patch: int = 96
    learning_rate: float = 3e-4
    measured_patches: int = 32
    reports: int = 5
    first_weights: str = "interpolation"
    seed: int = 0
    device: str = "auto"
    threads: int = 0

    def check(self) -> None:
        """Check what can be checked without loading torch or an image.

        Raises
        ------
        ValueError
            If a setting is out of range or the data folder is missing; the message names the option.
        """
        for name, least in (
            ("channels", 1),
            ("layers", 2),
            ("steps", 1),
            ("batch", 1),
            ("measured_patches", 1),
            ("reports", 1),
            ("threads", 0),
            ("limit", 0),
        ):
            if getattr(self, name) < least:
                option = "--" + name.replace("_", "-")
                raise ValueError(f"{option}: {getattr(self, name)} is not valid; give at least {least}")
        if self.patch < self.scale or self.patch % self.scale:
            raise ValueError(f"--patch: {self.patch} is not valid; give a multiple of the scale {self.scale}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"--learning-rate: {self.learning_rate} is not valid; give a number above 0")
        check_seed("--seed", self.seed)
        check_choice("--first-weights", self.first_weights, FIRST_WEIGHTS)
        check_images("--data", self.data)


@dataclass(frozen=True)
class TrialResult:
    """What a trial reports: PSNR in dB on Y, multiply-adds in 10^9 at a 3x480x480 input, and the reward of both."""

    reward: float
    psnr: float
    gmacs: float
    params: int

    def to_nni(self, genotype: Genotype) -> dict[str, Any]:
        """Return the final metric, a dict whose "default" is what NNI optimises."""
        metric = {"default": self.reward, **asdict(self), "genotype": str(genotype)}
        del metric["reward"]
        return metric


def evaluate(
    genotype: Genotype,
    reward: JointReward,
    settings: TrialSettings,
    *,
    shared_weights: Path | None = None,
    number: int = 0,
    report: Any = None,
) -> tuple[TrialResult, HNASNetwork]:
    """Train an architecture for a few steps and measure it.

    Parameters
    ----------
    genotype
        The architecture.
    reward
        Joins PSNR and cost.
    settings
        How to train and measure.
    shared_weights
        Database of :class:`hnas_nni.shared_weights.SharedWeights` to start from and give back to; None trains from
        scratch.
    number
        Number of the trial, so that trials of one seed draw different batches.
    report
        Called with each intermediate PSNR.

    Returns
    -------
    result, network
        The figures, and the trained network.

    Raises
    ------
    ValueError
        If settings, data, genotype or shared weights do not fit.
    """
    settings.check()
    genotype.check_layers(settings.layers)
    import torch

    from hnas_nni.cost import cost_table
    from hnas_nni.data import PatchSampler, fixed_patches, load_splits
    from hnas_nni.devices import choose_device
    from hnas_nni.first_weights import interpolate
    from hnas_nni.training import Adam, cosine_learning_rate, patch_psnr, training_step

    device = choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    sizes = {"scale": settings.scale, "channels": settings.channels, "layers": settings.layers}
    splits = load_splits(
        settings.data, settings.scale, patch_size=settings.patch, seed=settings.seed, limit=settings.limit or None
    )
    seed = settings.seed + 100_003 * number
    torch.manual_seed(seed)
    network = genotype.build(**sizes)
    if settings.first_weights == "interpolation":
        interpolate(network)
    store = None
    if shared_weights is not None:
        from hnas_nni.shared_weights import SharedWeights

        store = SharedWeights(shared_weights, **sizes)
        store.load_into(network)
    network.to(device)
    sampler = PatchSampler(splits.weight, settings.scale, settings.patch, device, seed)
    # The same patches for every trial of a search, whatever its number.
    low, high = fixed_patches(
        splits.controller, settings.scale, settings.patch, settings.measured_patches, settings.seed
    )
    low, high = low.to(device), high.to(device)
    optimizer = Adam()
    psnr = math.nan
    for step in range(settings.steps):
        rate = cosine_learning_rate(step / settings.steps, settings.learning_rate, settings.learning_rate / 100)
        training_step(network, optimizer, *sampler.sample(settings.batch), rate)
        done = step + 1
        if done * settings.reports // settings.steps > step * settings.reports // settings.steps:
            psnr = patch_psnr(network, low, high, settings.scale, settings.batch)
            if not math.isfinite(psnr):
                raise ValueError(f"--learning-rate: training diverged at step {done}; give a smaller one")
            if report is not None:
                report(psnr)
    if store is not None:
        store.give_back(network)
    cost = cost_table(settings.scale, settings.channels, settings.layers)(genotype)
    return TrialResult(reward(psnr, cost.gmacs), psnr, cost.gmacs, cost.params), network


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
    return read_genotype(name)


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
        from hnas_nni.shared_weights import FILE_NAME

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
    from hnas_nni.model_file import save

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
