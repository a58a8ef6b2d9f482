"""Training an architecture in a folder, from the start or from where it was interrupted."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.files import WRITE_ERRORS
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.model_file import load, misfit, shapes_of
from hnas_nni.network.over_parameterised import expand
from hnas_nni.output_folder import TENSORBOARD, OutputFolderError
from hnas_nni.training.checkpoint import EpochCheckpoint
from hnas_nni.training.folder import ARCHITECTURE, TrainingFolder
from hnas_nni.training.images import load_images
from hnas_nni.training.module import History, RetrainingModule
from hnas_nni.training.processes import is_first_process
from hnas_nni.training.progress import TrainingProgress
from hnas_nni.training.quiet import silence_lightning
from hnas_nni.training.settings import TrainingSettings

_LIGHTNINGS_PRECISION: dict[str, Any] = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
_LOG_STEPS = 50


@dataclass(frozen=True)
class Training:
    """A finished training.

    Parameters
    ----------
    weights
        The file to use: the best network on the validation images, or without any the last.
    history
        The rows of ``epochs.csv``.
    """

    weights: Path
    history: History

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the epoch that `weights` is from; None without validation images."""
        measured = [row for row in self.history if not math.isnan(row.get("validation_psnr", math.nan))]
        return max(measured, key=lambda row: (row["validation_psnr"], row["epoch"]), default=None)


def train(
    architecture: Architecture,
    settings: TrainingSettings,
    out: str | os.PathLike[str],
    *,
    accelerator: str = "auto",
    devices: str = "1",
    nodes: int = 1,
    force: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    command: str = "hnas_nni.training.run.train",
) -> Training:
    """Train the network of an architecture, and leave its weights in a folder.

    Called again with the same settings it goes on after the last finished epoch, on the CPU with exactly the numbers
    of a training that was never interrupted.

    Parameters
    ----------
    architecture
        A genotype, or a network of :mod:`hnas_nni.architecture.peers`. What sizes it has itself are taken in place of
        those of `settings`.
    settings
        How to train.
    out
        The folder, see :mod:`hnas_nni.training.folder`; made if need be.
    accelerator, devices
        Lightning's: "auto", "cpu" or "cuda", and how many on each node. Several train on the same batch, each on a
        part of it.
    nodes
        On how many machines torchrun has started the training.
    force
        Start over, in a folder that has a training already.
    quiet
        Show no progress.
    verbose
        Let Lightning say what it does.
    command
        Noted in ``settings.json``.

    Raises
    ------
    ValueError, OSError
        If settings, images, the folder or the devices do not fit.
    """
    settings = replace(
        settings, channels=architecture.width or settings.channels, layers=architecture.depth or settings.layers
    )
    architecture.check_layers(settings.layers)
    folder = TrainingFolder(out)
    noted = {ARCHITECTURE: str(architecture), **settings.to_dict()}
    first = is_first_process()
    if first:
        folder.check(noted, force)
    if not verbose:
        silence_lightning()
    network = _network(architecture, settings)
    training, validation = load_images(settings)
    trainer = _trainer(folder, settings, accelerator, devices, nodes, quiet)
    if settings.batch % trainer.world_size:
        raise ValueError(f"--batch: {settings.batch} can't be divided among {trainer.world_size} devices")
    if trainer.world_size > 1:
        _leave_out_unused(network, settings)
    module = RetrainingModule(
        network, settings, training, validation, lambda done: folder.write_epoch(done.history, done.result)
    )
    with _alone(folder, first):
        if first and force:
            folder.clear()
        if first and not folder.exists:
            folder.create(noted, command)
        history = _history(folder)
        if len(history) < settings.epochs:
            _fit(trainer, module, folder)
            history = module.history
    return Training(folder.weights, history)


def _network(architecture: Architecture, settings: TrainingSettings) -> SuperResolutionNetwork:
    torch.manual_seed(settings.seed)
    network = cast(SuperResolutionNetwork, architecture.build(settings.scale, settings.channels, settings.layers))
    if settings.first_weights == "interpolation":
        interpolate(network)
    if settings.init is not None:
        given = load(settings.init)
        if given.architecture != architecture:
            first = misfit(shapes_of(given.state_dict()), shapes_of(network.state_dict()))
            raise ValueError(
                f"--init: {settings.init}: is of another architecture; give weights of the same one"
                + (f": {first}" if first else "")
            )
        for name in ("channels", "layers"):
            if getattr(given, name) != getattr(network, name):
                raise ValueError(
                    f"--init: {settings.init}: has {name} {getattr(given, name)}, not {getattr(settings, name)}; "
                    f"give --{name} {getattr(given, name)}"
                )
        own = network.state_dict()
        fitting = {name: weight for name, weight in given.state_dict().items() if own[name].shape == weight.shape}
        network.load_state_dict(fitting, strict=False)
    expand(network)
    return network


def _leave_out_unused(network: SuperResolutionNetwork, settings: TrainingSettings) -> None:
    """Take parameters that no output depends on out of the training: processes would wait for their gradients.

    Of some architectures a cell never reads one of its inputs.
    """
    side = settings.patch // settings.scale
    network(torch.zeros(1, 3, side, side)).sum().backward()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    network.zero_grad()


def _trainer(
    folder: TrainingFolder, settings: TrainingSettings, accelerator: str, devices: str, nodes: int, quiet: bool
) -> pl.Trainer:
    if nodes > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        raise ValueError("--nodes: start the same command on each of them by torchrun, as docs/training.md shows")
    checkpoints = EpochCheckpoint(folder.checkpoint)
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=int(devices) if devices.isdecimal() else devices,
            num_nodes=nodes,
            strategy="auto" if devices == "1" and nodes == 1 else "ddp",
            precision=_LIGHTNINGS_PRECISION[settings.precision],
            max_epochs=settings.epochs,
            callbacks=[checkpoints] if quiet else [checkpoints, TrainingProgress()],
            logger=TensorBoardLogger(folder.path, name="", version=TENSORBOARD),
            log_every_n_steps=min(_LOG_STEPS, settings.steps_per_epoch),
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder.path,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        raise ValueError(f"--device {accelerator} --devices {devices}: can't be used here: {message}") from error


def _alone(folder: TrainingFolder, first: bool) -> contextlib.AbstractContextManager[None]:
    """Keep other trainings out of the folder; the processes of one training share it."""
    if not first:
        return contextlib.nullcontext()
    folder.path.mkdir(parents=True, exist_ok=True)
    return folder.lock()


def _history(folder: TrainingFolder) -> History:
    """The epochs that the checkpoint goes on from."""
    if not folder.checkpoint.is_file():
        return []
    try:
        state = torch.load(folder.checkpoint, map_location="cpu", weights_only=True)
        history: History = state["history"]
        missing = {"pytorch-lightning_version", "state_dict", "optimizer_states", "lr_schedulers", "loops"} - set(state)
        if missing:
            raise KeyError(*missing)
    except Exception as error:
        raise OutputFolderError(f"{folder.checkpoint}: damaged; give --force to start over") from error
    return history


def _fit(trainer: pl.Trainer, module: RetrainingModule, folder: TrainingFolder) -> None:
    checkpoint: Any = folder.checkpoint if folder.checkpoint.is_file() else None
    try:
        trainer.fit(module, ckpt_path=checkpoint)
    except SystemExit as error:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from error
    except OSError as error:
        if error.filename is None and error.errno in WRITE_ERRORS:  # TensorBoard's, which does not say what it wrote
            raise OSError(error.errno, os.strerror(error.errno), str(folder.path / TENSORBOARD)) from error
        raise
    except torch.OutOfMemoryError as error:
        raise ValueError("the GPU's memory does not suffice; give a smaller --batch, --patch or --channels") from error
