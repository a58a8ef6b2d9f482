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
    SIZES_SHOWN,
    add_device,
    add_json,
    add_quiet,
    add_threads,
    architecture_in_network,
    network_sizes,
    use_threads,
)
from hnas_nni.cli.terminal import strong
from hnas_nni.searches.names import read_architecture
from hnas_nni.settings.options import add_options, given, in_words
from hnas_nni.training.processes import is_first_process
from hnas_nni.training.settings import MINIATURE, TrainingSettings

if TYPE_CHECKING:
    from hnas_nni.training.run import Training

HELP = "train an architecture to the end"
_EXAMPLES = """\
Writes to --out: best.safetensors and last.safetensors (hnas_nni.load reads them), epochs.csv, settings.json,
tensorboard/ and the checkpoint from which the same command goes on.

examples:
  hnas train winner.json --data DIV2K/DIV2K_train_HR --validation Set5 --out runs/winner
  hnas train HNAS-A --data DIV2K/DIV2K_train_HR --validation Set5 --precision bf16 --devices 4 --out runs/a
  hnas train IMDN --channels 32 --data DIV2K/DIV2K_train_HR --validation Set5 --out runs/imdn
  hnas train winner.json --layers 6 --channels 16 --epochs 20 --steps-per-epoch 200 --out runs/small
  hnas train winner.json --scale 4 --init runs/winner/best.safetensors --data DIV2K/DIV2K_train_HR --out runs/winner_x4
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas train``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("genotype", metavar="GENOTYPE", help=GENOTYPE_HELP)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the training; made if need be"
    )
    parser.add_argument("--force", action="store_true", help="start over in a folder that has a training")
    add_json(parser)
    add_quiet(parser)
    parser.add_argument(
        "--miniature", action="store_true", help="defaults for minutes on a CPU in place of the paper's"
    )
    shown = dict.fromkeys(("scale", "channels", "layers"), SIZES_SHOWN)
    for name, value in MINIATURE.items():
        shown[name] = f"{shown.get(name, '{}')}; {in_words(value)} in miniature"
    groups = add_options(parser, TrainingSettings, shown)
    machine = groups["machine"]
    add_device(machine)
    machine.add_argument("--devices", default="1", metavar="N", help="how many of them, or auto for all (%(default)s)")
    machine.add_argument(
        "--nodes", type=int, default=1, metavar="N", help="on how many machines torchrun started it (%(default)s)"
    )
    add_threads(machine)


def run(options: argparse.Namespace) -> None:
    """Train, and say what came of it."""
    if options.nodes < 1:
        raise ValueError(f"--nodes: {options.nodes} is not valid; give at least 1")
    named = read_architecture(options.genotype)
    usual = MINIATURE if options.miniature else {}
    chosen = {**usual, **given(options, TrainingSettings), **network_sizes(options, named, usual)}
    settings = TrainingSettings(**chosen).located()
    says_nothing = options.quiet or options.json
    architecture = architecture_in_network(named, settings.layers, says_nothing)
    if not says_nothing and is_first_process():  # before torch is loaded, which takes seconds
        print(_plan(options.genotype, settings), file=sys.stderr, flush=True)
    use_threads(options.threads)
    from hnas_nni.network.model_file import check
    from hnas_nni.training.memory import keep_freed_memory
    from hnas_nni.training.run import train

    keep_freed_memory()
    if named.model is not None:
        check(named.model)
    training = train(
        architecture,
        settings,
        options.out,
        accelerator=options.device,
        devices=options.devices,
        nodes=options.nodes,
        force=options.force,
        quiet=says_nothing,
        verbose=options.verbose,
        command=shlex.join(["hnas", *sys.argv[1:]]),
    )
    if is_first_process():
        _report(training, settings, options)


def _plan(name: str, settings: TrainingSettings) -> str:
    steps = settings.epochs * settings.steps_per_epoch
    return (
        f"training {name}: x{settings.scale}, C = {settings.channels}, L = {settings.layers}; {steps:,} steps of "
        f"{settings.batch} patches of {settings.patch} pixels"
    )


def _report(training: Training, settings: TrainingSettings, options: argparse.Namespace) -> None:
    best = training.best
    last = training.history[-1]
    if options.json:
        print(
            json.dumps({"weights": str(training.weights), "epochs": len(training.history), **(best or last)}, indent=2)
        )
        return
    duration = timedelta(seconds=round(last["seconds"]))
    if not options.quiet:
        print(f"{len(training.history)} epochs in {duration}, loss {last['loss']:.5f}")
    if best is None:
        print("not measured; give --validation DIR, or use hnas evaluate")
    else:
        where = "of the held-out photographs" if settings.validation is None else f"of {settings.validation}"
        figures = strong(f"PSNR {best['validation_psnr']:.3f} dB, SSIM {best['validation_ssim']:.4f}")
        print(f"{figures} on Y {where}, the best, after epoch {best['epoch']:.0f}")
    if options.quiet:
        return
    weights = os.path.relpath(training.weights)
    weights = weights if len(weights) < len(str(training.weights)) else str(training.weights)
    print(f"written to {weights}; next:")
    shown = shlex.quote(settings.validation or "DIR")
    print(f"  hnas evaluate {shlex.quote(weights)} --data {shown}")
    print(f"  hnas upscale {shlex.quote(weights)} IMAGE... --out DIR")
