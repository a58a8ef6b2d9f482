"""The epochs of a search for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType


class TensorBoardLog:
    """Writes each column of an epoch's row as a scalar.

    Parameters
    ----------
    folder
        Of the event files.
    rows
        Epochs done before this session. The last is written again, as a kill may have come before it was written, and
        what an earlier session wrote from there on is hidden.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=len(rows) if rows else None)
        for row in rows[-1:]:
            self.add(row)

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
