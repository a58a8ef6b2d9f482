"""Saving what a training goes on from."""

from __future__ import annotations

import os
from typing import Any

import torch

from hnas_nni.files import replacing


def save_state(state: Any, path: str | os.PathLike[str]) -> None:
    """Write tensors and plain data to a file that ``torch.load`` reads, whole or not at all.

    Parameters
    ----------
    state
        What ``torch.load(..., weights_only=True)`` takes.
    path
        The file; one that is there is replaced.

    Raises
    ------
    OSError
        If it can't be written, of the disk being full for example; its `filename` is `path`.
    """
    # Through a file of Python's, which knows why it can't be written: torch's own writer says of a full disk that its
    # position is unexpected.
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise
