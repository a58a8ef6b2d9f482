"""The folder of a training.

=====================  =============================================================================================
``settings.json``      settings, versions, command and time of creation
``epochs.csv``         a row for each epoch, see :class:`hnas_nni.training.module.RetrainingModule`
``best.safetensors``   the network with the highest PSNR on the validation images, if there are any
``last.safetensors``   the network after the last epoch
``checkpoint.ckpt``    what the training goes on from
``tensorboard/``       loss, learning rate, PSNR and SSIM for TensorBoard
=====================  =============================================================================================
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.model_file import save
from hnas_nni.output_folder import EPOCHS, SETTINGS, TENSORBOARD, OutputFolder, OutputFolderError
from hnas_nni.settings.options import in_words
from hnas_nni.training.settings import TrainingSettings

BEST = "best.safetensors"
LAST = "last.safetensors"
CHECKPOINT = "checkpoint.ckpt"
ARCHITECTURE = "architecture"
"""The entry of ``settings.json`` that tells what is trained."""


class TrainingFolder(OutputFolder):
    """A training's folder."""

    def check(self, settings: dict[str, Any], force: bool = False) -> None:
        """Check that a training with these settings can begin or go on here; nothing is written.

        Raises
        ------
        OutputFolderError
            If the folder holds something else, or a training with other settings, or its name is no text.
        """
        self.check_name()
        if not self.exists:
            if self.path.exists() and (not self.path.is_dir() or any(self._others())):
                raise OutputFolderError(f"{self.path}: exists and is not a folder of hnas train; give another --out")
            return
        stored = self.about()["settings"]
        if set(stored) != set(settings):
            raise OutputFolderError(f"{self.path}: the folder of another command or version; give another --out")
        if force:
            return
        for name, value in settings.items():
            if stored[name] != value:
                which = (
                    "another architecture"
                    if name == ARCHITECTURE
                    else f"{TrainingSettings.named(name)} {in_words(stored[name])}"
                )
                raise OutputFolderError(
                    f"{self.path}: was made with {which}; give the same, another --out, or --force to start over"
                )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second training out of the folder for the while.

        Raises
        ------
        OutputFolderError
            If one is running here.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(super().lock())
            except OutputFolderError:
                raise OutputFolderError(
                    f"{self.path}: a training is running here; wait, or give another --out"
                ) from None
            yield

    def clear(self) -> None:
        """Remove what an earlier training left."""
        for name in (SETTINGS, EPOCHS, BEST, LAST, CHECKPOINT):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)

    def write_epoch(self, history: list[dict[str, float]], network: SuperResolutionNetwork) -> None:
        """Write the epochs so far, and the network if it is the best so far."""
        save(network, self.path / LAST)
        measured = [row["validation_psnr"] for row in history if not math.isnan(row.get("validation_psnr", math.nan))]
        if measured and measured[-1] == history[-1].get("validation_psnr") and measured[-1] == max(measured):
            save(network, self.path / BEST)
        self.write_epochs(history)

    @property
    def checkpoint(self) -> Path:
        """The checkpoint, whether it is there or not."""
        return self.path / CHECKPOINT

    @property
    def weights(self) -> Path:
        """The file to use: the best network, or without validation images the last."""
        best = self.path / BEST
        return best if best.is_file() else self.path / LAST
