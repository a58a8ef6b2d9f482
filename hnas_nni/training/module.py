"""One training of a network, as a Lightning module."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from hnas_nni.data import ImagePair
from hnas_nni.inference import NetworkModel
from hnas_nni.inference.evaluation import evaluate
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.training.batches import PatchBatches, restart
from hnas_nni.training.images import make_sampler
from hnas_nni.training.settings import TrainingSettings
from hnas_nni.training.step import cosine_learning_rate, reconstruction_loss

History = list[dict[str, float]]
"""One row an epoch, see :class:`RetrainingModule`."""

VALIDATION_COLUMNS = ("validation_psnr", "validation_ssim")


class RetrainingModule(pl.LightningModule):
    """Trains a network on random patches and measures it on whole images.

    Every epoch begins its draws anew from seed and epoch, so that a training that is resumed at an epoch goes on as if
    it had never stopped. Processes of a distributed training share the batches, and train as one would.

    Parameters
    ----------
    network
        The network; trained in place. What is over-parameterised stays so, in checkpoints too; model files have the
        convolutions that it stands for.
    settings
        How to train.
    training, validation
        Images; `validation` may be empty.
    on_epoch
        Called with the module after each epoch, in the first process of a distributed training.

    Attributes
    ----------
    history
        One row an epoch, part of checkpoints: "epoch" from 1, "seconds" since the start over all sessions, "loss" (mean
        of the epoch), "learning_rate" (of its last step), and with validation images "validation_psnr" in dB and
        "validation_ssim", means over the whole images; not a number where the epoch was not measured.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        settings: TrainingSettings,
        training: Sequence[ImagePair],
        validation: Sequence[ImagePair],
        on_epoch: Callable[[RetrainingModule], object],
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged: AveragedModel | None = None
        if settings.ema:
            self.averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
            self.averaged.requires_grad_(False)
        self.settings = settings
        self.history: History = []
        self._training = training
        self._validation = validation
        self._on_epoch = on_epoch

    @property
    def result(self) -> SuperResolutionNetwork:
        """The network to measure and to save: the averaged one, if there is one."""
        return self.network if self.averaged is None else cast(SuperResolutionNetwork, self.averaged.module)

    def setup(self, stage: str) -> None:
        """Put the images on the device that Lightning has chosen."""
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        self._batches = PatchBatches(self.settings.batch, self.settings.steps_per_epoch, rank, processes)
        self._batches.sampler = make_sampler(self._training, self.settings, self.trainer.strategy.root_device)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of training batches."""
        return DataLoader(self._batches, batch_size=None)

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, with a cosine over all steps, behind a warm-up if there is one."""
        total = self.settings.epochs * self.settings.steps_per_epoch
        optimizer = torch.optim.Adam(self.network.parameters(), self.settings.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: cosine_learning_rate(min(step / total, 1.0), 1.0, 0.01, self.settings.warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Set the clock.

        Raises
        ------
        ValueError
            If processes have come to different epochs, as those of several machines do without a common folder.
        """
        if self.trainer.strategy.broadcast(self.trainer.current_epoch) != self.trainer.current_epoch:
            raise ValueError("--out: is not the same folder on all nodes; give one that all of them see")
        self._seconds = self.history[-1]["seconds"] if self.history else 0.0
        self._started = time.monotonic()

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's draws."""
        restart(self._batches.sampler, self.settings.seed, epoch=self.trainer.current_epoch)
        self._losses = torch.zeros((), dtype=torch.float64, device="cpu" if self.device.type == "mps" else self.device)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        loss = reconstruction_loss(self.network, *batch)
        self._losses += loss.detach()
        self.log("loss", loss.detach(), batch_size=len(batch[0]))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the average follow."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def on_train_epoch_end(self) -> None:
        """Measure the network, and add the epoch to the history.

        Raises
        ------
        ValueError
            If the training has diverged.
        """
        epoch = self.trainer.current_epoch + 1
        loss = float(self.trainer.strategy.reduce(self._losses / self.settings.steps_per_epoch, reduce_op="mean"))
        if not math.isfinite(loss):
            raise ValueError(f"--learning-rate: the training diverged in epoch {epoch}; give a smaller one")
        if not self.trainer.is_global_zero:
            return
        row = {"epoch": epoch, "seconds": 0.0, "loss": loss, "learning_rate": self._last_learning_rate}
        if self._validation:
            row |= dict.fromkeys(VALIDATION_COLUMNS, math.nan)
            if epoch % self.settings.validate_every == 0 or epoch == self.settings.epochs:
                row |= dict(zip(VALIDATION_COLUMNS, self._measure(), strict=True))
                self.log_dict({name: row[name] for name in VALIDATION_COLUMNS}, rank_zero_only=True)
        row["seconds"] = round(self._seconds + time.monotonic() - self._started, 3)
        self.history.append(row)
        self._on_epoch(self)

    def _measure(self) -> tuple[float, float]:
        """PSNR and SSIM on the validation images."""
        training = self.result.training
        score = evaluate(NetworkModel(self.result, device=self.device), self._validation, "validation")
        self.result.train(training)
        return score.psnr, score.ssim

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Note the learning rate of the step that was done, and go on to the next."""
        (self._last_learning_rate,) = scheduler.get_last_lr()
        super().lr_scheduler_step(scheduler, metric)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the history to a checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history from a checkpoint."""
        self.history = checkpoint["history"]
