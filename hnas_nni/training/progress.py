"""A progress bar over all steps of a training."""

from __future__ import annotations

import math
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

_SECONDS_TIMED = 3.0
_STEPS_TIMED = (5, 50)
"""At least and at most."""
_WORTH_SAYING = 30.0
"""Seconds."""


def in_words(seconds: float) -> str:
    """Return a duration as people say it.

    Examples
    --------
    >>> in_words(40), in_words(600), in_words(65 * 3600), in_words(30 * 86400)
    ('about 40 s', 'about 10 min', 'about 65 hours', 'about 30 days')
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("hours", 3600, 100)):
        if seconds < most * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {seconds / 86400:.0f} days"


class TrainingProgress(pl.Callback):
    """Says after a few steps how long the training will take; on a terminal shows steps and the last epoch's figures.

    Both on standard error.
    """

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Open the bar where the training goes on."""
        settings = pl_module.settings
        total = settings.epochs * settings.steps_per_epoch
        hidden = None if trainer.is_global_zero else True  # None: hidden unless it is a terminal
        self._left = total - trainer.global_step
        self._timed: list[float] = []
        self._bar = tqdm(total=total, initial=trainer.global_step, unit="step", disable=hidden, smoothing=0.05)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Move the bar, and tell the time that is left once some steps were timed."""
        self._bar.update()
        if self._left and trainer.is_global_zero:
            self._time_step(self._bar)

    def _time_step(self, bar: Any) -> None:
        self._left -= 1
        self._timed.append(time.monotonic())
        steps, (least, most) = len(self._timed) - 1, _STEPS_TIMED
        if steps < least or (steps < most and self._timed[-1] - self._timed[0] < _SECONDS_TIMED):
            return
        # The first steps, which prepare memory and kernels, take longer.
        seconds = statistics.median(end - start for start, end in pairwise(self._timed))
        if self._left * seconds >= _WORTH_SAYING:
            bar.write(f"{seconds:.2g} s a step: {in_words(self._left * seconds)} to go", file=sys.stderr)
        self._left = 0

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
