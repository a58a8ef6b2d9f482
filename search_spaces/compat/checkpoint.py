"""A mend for NNI 3.0's checkpoints of NAS experiments under torch 2.6 and later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni.nas.utils.serializer import TorchSerializer, get_default_serializer

from hnas_nni.foreign_text import cut


def load_checkpoint_state(path: Path) -> dict[str, Any] | None:
    """Return what NNI saved of an experiment's strategy and engine, whatever objects are in it.

    ``torch.load`` takes tensors and plain data alone since torch 2.6, unless it is told otherwise. The states of NNI's
    own strategies hold more: random states of numpy, individuals of an evolution, a replay buffer. NNI 3.0 does not
    tell it, so that each of them ends in ``UnpicklingError`` on a resume.

    A pickle runs what is in it. So does the configuration beside it, which NNI reads first on a resume: an experiment's
    folder is as trusted as the code that made it.

    Parameters
    ----------
    path
        As NNI names it, without the ending that its serializer adds.

    Returns
    -------
    dict or None
        None if nothing was saved.

    Raises
    ------
    ValueError
        If the file is damaged; the message names it.
    """
    serializer = get_default_serializer()
    file = path.with_name(path.name + serializer.suffix)
    try:
        if not isinstance(serializer, TorchSerializer):
            state = serializer.load(path)
        else:
            import torch

            state = torch.load(file, map_location=serializer._map_location, weights_only=False)
    except FileNotFoundError:
        return None
    except Exception as error:  # what torch, pickle and JSON raise for a damaged file is of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            cut(f"{file}: is damaged ({reason}); move it away, and the search goes on without what it had learnt")
        ) from error
    return dict(state)
