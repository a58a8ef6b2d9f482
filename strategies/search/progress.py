"""The epochs of a search for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType


class TensorBoardLog:
    """Writes each column of an epoch's row as a scalar.

    Parameters
    ----------
    folder
        Of the event files.
    first_epoch
        Epochs done before this session. What an earlier session wrote after them, before it was killed, is hidden.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first_epoch + 1 if first_epoch else None)

    def add(self, row: Mapping[str, float]) -> None:
        """Write one epoch; ``entropy_normal`` becomes ``entropy/normal``."""
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name.replace("_", "/", 1), value, int(row["epoch"]))
        self._writer.flush()

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
