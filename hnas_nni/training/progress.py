"""A progress bar over all steps of a training."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm


class TrainingProgress(pl.Callback):
    """Shows steps, and the last epoch's figures, on standard error if that is a terminal."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the bar where the training goes on."""
        settings = pl_module.settings
        total = settings.epochs * settings.steps_per_epoch
        hidden = None if trainer.is_global_zero else True  # None: hidden unless it is a terminal
        self._bar = tqdm(total=total, initial=trainer.global_step, unit="step", disable=hidden, smoothing=0.05)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Move the bar."""
        self._bar.update()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the epoch before."""
        if pl_module.history:
            row = pl_module.history[-1]
            figures = {"epoch": int(row["epoch"]), "loss": f"{row['loss']:.5f}"}
            if not math.isnan(row.get("validation_psnr", math.nan)):
                figures["PSNR"] = f"{row['validation_psnr']:.2f} dB"
            self._bar.set_postfix(figures, refresh=False)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Close the bar."""
        if hasattr(self, "_bar"):
            self._bar.close()
