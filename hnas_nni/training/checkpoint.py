"""What a training goes on from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Checkpoint


class EpochCheckpoint(Checkpoint):
    """Replaces one file after each epoch, whole or not at all.

    Lightning's own checkpoints come from the system's temporary folder, often another disk, and are copied in place.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Write the checkpoint; Lightning calls this after everything else of the epoch."""
        temporary = self.path.with_name(f".{self.path.name}")
        try:
            trainer.save_checkpoint(temporary)  # all processes take part, the first one writes
            if trainer.is_global_zero:
                os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno is None:
                raise
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self.path)) from error
