"""Search spaces: which cells their architectures have, and what network is built of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hnas_nni.architecture.references import lazy

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Space:
    """A search space. Its candidate operations are the rows of :mod:`hnas_nni.architecture.operations` that name it.

    Parameters
    ----------
    name
        What it is called.
    cells
        The kinds of cells, in the order in which the controller decides them.
    network
        ``network(genotype, scale, channels, layers)`` makes the network of an architecture.
    """

    name: str
    cells: tuple[str, ...]
    network: Callable[..., nn.Module]


PAPER = Space("paper", cells=("normal", "upsampling"), network=lazy("hnas_nni.network.network:HNASNetwork"))
"""The hierarchical space of the paper (Guo et al., IEEE SPL 2020, arXiv 2003.04619, section II)."""
