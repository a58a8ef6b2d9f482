"""Where a search by successive halving leaves off an architecture and goes on with it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hnas_nni.architecture.genotype import Genotype

if TYPE_CHECKING:
    from torch import nn

FOLDER = "stages"
"""In the experiment's folder: a file for each stage of an architecture, so that one that runs again after a kill finds
what the stage before has left."""


class Optimizer(Protocol):
    """Adam, whose moments are saved as those of :class:`hnas_nni.training.step.Adam`."""

    def state_dict(self, network: nn.Module) -> dict[str, Any]:
        """Return moments and numbers of steps by the parameters' names."""

    def load_state_dict(self, network: nn.Module, state: dict[str, Any]) -> None:
        """Go on from them."""


def checkpoint_path(folder: Path, genotype: Genotype, stage: int) -> Path:
    """Return the file that a stage of an architecture, counted from 1, leaves in an experiment's folder."""
    name = hashlib.sha256(f"{genotype}, stage {stage}".encode()).hexdigest()[:32]
    return folder / FOLDER / f"{name}.pt"


def leave(path: Path, network: nn.Module, optimizer: Optimizer, steps: int) -> None:
    """Save a training, whole or not at all.

    Parameters
    ----------
    path
        From :func:`checkpoint_path`; its folder is made.
    network, optimizer
        As they are being trained.
    steps
        Done so far, over all stages.
    """
    from hnas_nni.network.state_file import save_state

    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(network), "steps": steps}
    save_state(state, path)


def go_on(path: Path, network: nn.Module, optimizer: Optimizer) -> int:
    """Load a training that :func:`leave` saved.

    Returns
    -------
    int
        Steps done so far.

    Raises
    ------
    ValueError
        If there is none, or it is damaged or another network's.
    """
    import torch

    try:
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(network, state["optimizer"])
        return int(state["steps"])
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no weights to go on from; successive halving needs trials that share the experiment's folder"
        ) from None
    except Exception as error:  # what torch raises for a damaged file is of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: can't go on from these weights ({reason})") from error
