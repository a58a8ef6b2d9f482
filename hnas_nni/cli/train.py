"""Train an architecture from scratch, as the paper trains its final networks, and write its weights.

The same command again goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import (
    GENOTYPE_HELP,
    add_device,
    add_json,
    add_network_size,
    add_quiet,
    add_skip_unusable,
    add_threads,
    network_sizes,
    use_threads,
)
from hnas_nni.cli.terminal import strong
from hnas_nni.searches.names import read_architecture
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS
from hnas_nni.training.settings import PRECISIONS, TrainingSettings

if TYPE_CHECKING:
    from hnas_nni.training.run import Training

HELP = "train an architecture to the end"
_EXAMPLES = """\
Writes to --out: best.safetensors and last.safetensors (hnas_nni.load reads them), epochs.csv, settings.json,
tensorboard/ and the checkpoint from which the same command goes on.

examples:
  hnas train winner.json --data DIV2K/DIV2K_train_HR --validation Set5 --out runs/winner
  hnas train HNAS-A --data DIV2K/DIV2K_train_HR --validation Set5 --precision bf16 --devices 4 --out runs/a
  hnas train winner.json --layers 6 --channels 16 --epochs 20 --steps-per-epoch 200 --out runs/small
  hnas train winner.json --scale 4 --init runs/winner/best.safetensors --data DIV2K/DIV2K_train_HR --out runs/winner_x4
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas train``."""
    default = TrainingSettings()
    parser.epilog = _EXAMPLES
    parser.add_argument("genotype", metavar="GENOTYPE", help=GENOTYPE_HELP)
    parser.add_argument(
        "--data",
        nargs="+",
        default=list(default.data),
        metavar="DIR",
        help='folders of training images: HR, or LR and HR; "photos" for the few that come along (photos)',
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the training; made if need be"
    )
    parser.add_argument("--validation", metavar="DIR", help="images to measure after each epoch, e.g. Set5")
    add_network_size(parser)
    for name, what in (
        ("epochs", "length of the training"),
        ("steps-per-epoch", "steps of an epoch"),
        ("batch", "patches in a step, on all devices together"),
        ("patch", "side of a patch in HR pixels"),
        ("validate-every", "epochs between two measurements"),
        ("seed", "decides initial weights and patches"),
    ):
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{what} (%(default)s)")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=default.learning_rate,
        metavar="X",
        help="at the first step; a cosine takes it to a hundredth (%(default)s)",
    )
    parser.add_argument("--precision", choices=PRECISIONS, default=default.precision, help="of numbers (%(default)s)")
    parser.add_argument(
        "--ema", type=float, default=default.ema, metavar="X", help="decay of a moving average of the weights (none)"
    )
    add_skip_unusable(parser)
    parser.add_argument(
        "--first-weights",
        choices=FIRST_WEIGHTS,
        default=default.first_weights,
        help="those of an interpolation, or random ones as the authors' code has (%(default)s)",
    )
    parser.add_argument(
        "--init", metavar="FILE", help="start from the weights of a model file of the same architecture"
    )
    add_device(parser)
    parser.add_argument("--devices", default="1", metavar="N", help="how many of them, or auto for all (%(default)s)")
    add_threads(parser)
    parser.add_argument("--force", action="store_true", help="start over in a folder that has a training")
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Train, and say what came of it."""
    architecture = read_architecture(options.genotype)
    genotype, sizes = architecture.genotype, network_sizes(options, architecture)
    others = {"data", "validation", "init", *sizes}
    same = {name: getattr(options, name) for name in TrainingSettings.__dataclass_fields__ if name not in others}
    settings = TrainingSettings(
        data=tuple(_absolute(folder) for folder in options.data),
        validation=options.validation and _absolute(options.validation),
        init=options.init and str(Path(options.init).resolve()),
        **{**sizes, **same},
    )
    settings.check()
    genotype.check_layers(settings.layers)
    use_threads(options.threads)
    from hnas_nni.training.folder import is_first_process
    from hnas_nni.training.run import train

    training = train(
        genotype,
        settings,
        options.out,
        accelerator=options.device,
        devices=options.devices,
        force=options.force,
        quiet=options.quiet,
        verbose=options.verbose,
        command=shlex.join(["hnas", *sys.argv[1:]]),
    )
    if is_first_process():
        _report(training, settings, options.json)


def _absolute(folder: str) -> str:
    return folder if folder == EMBEDDED else str(Path(folder).expanduser().resolve())


def _report(training: Training, settings: TrainingSettings, as_json: bool) -> None:
    best = training.best
    last = training.history[-1]
    if as_json:
        print(
            json.dumps({"weights": str(training.weights), "epochs": len(training.history), **(best or last)}, indent=2)
        )
        return
    duration = timedelta(seconds=round(last["seconds"]))
    print(f"{len(training.history)} epochs in {duration}, loss {last['loss']:.5f}")
    if best is None:
        print("not measured; give --validation DIR, or use hnas evaluate")
    else:
        where = "of the held-out photographs" if settings.validation is None else f"of {settings.validation}"
        figures = strong(f"PSNR {best['validation_psnr']:.3f} dB, SSIM {best['validation_ssim']:.4f}")
        print(f"{figures} on Y {where}, the best, after epoch {best['epoch']:.0f}")
    weights = os.path.relpath(training.weights)
    weights = weights if len(weights) < len(str(training.weights)) else str(training.weights)
    print(f"written to {weights}; next:")
    shown = shlex.quote(settings.validation or "DIR")
    print(f"  hnas evaluate {shlex.quote(weights)} --data {shown}")
    print(f"  hnas upscale {shlex.quote(weights)} IMAGE... --out DIR")
