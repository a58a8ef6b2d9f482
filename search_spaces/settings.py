"""Settings of the space; free of torch and NNI, so that they are checked early."""

from __future__ import annotations

from hnas_nni.architecture.spaces import SPACES
from hnas_nni.settings import Setting

NORMALIZATION = Setting(
    str,
    "of the supernet: none, mean, or batch as in the paper",
    choices=("none", "mean", "batch"),
    group="network",
)
"""What keeps features at one scale while searching, see :class:`search_spaces.HNASSpace`."""

SPACE = Setting(str, "to search", choices=tuple(SPACES), group="network")
"""Name of a search space, see :class:`search_spaces.HNASSpace`."""
