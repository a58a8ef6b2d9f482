"""How much memory a network needs for an image, and how much there is."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_PROBE_SIZES = (16, 32)
_WORKSPACE = 1.8
"""Beside its tensors a convolution takes workspace and copies in other memory layouts. Measured on the CPU for seven
networks, the process grew by 1.1 to 1.8 times the tensors."""

_CGROUP = Path("/sys/fs/cgroup")


def bytes_per_pixel(network: nn.Module) -> int:
    """Estimate the memory that a network takes at its peak in inference, for each LR pixel of the batch.

    Two small images are run through it while the tensors that are alive at once are added up; on top comes an
    allowance for the workspace of convolutions.
    """
    parameter = next(network.parameters())
    small, large = (_peak_bytes(network, parameter.new_zeros(1, 3, size, size)) for size in _PROBE_SIZES)
    return int((large - small) / (_PROBE_SIZES[1] ** 2 - _PROBE_SIZES[0] ** 2) * _WORKSPACE)


def available_bytes(device: torch.device, control_group: Path = _CGROUP) -> int:
    """Return how much memory of a device is free: of the GPU, or of the machine and the container around us.

    Parameters
    ----------
    device
        The GPU, or the CPU.
    control_group
        Folder of the container's limits, in version 2 of Linux's control groups.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(int(psutil.virtual_memory().available), _container_bytes(control_group))


def _container_bytes(control_group: Path) -> int:
    """What is left below the control group's limit, or a very large number."""
    try:
        limit, used = ((control_group / f"memory.{name}").read_text() for name in ("max", "current"))
        return int(limit) - int(used)
    except (OSError, ValueError):  # not Linux, no control groups of version 2, or "max": no limit
        return 2**62


def _peak_bytes(network: nn.Module, images: torch.Tensor) -> int:
    with torch.inference_mode(), _LiveBytes() as live:
        network(images)
    return live.peak


class _LiveBytes(TorchFunctionMode):
    """Adds up the storage of the tensors made within, as long as each is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._alive: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._watch(leaf.untyped_storage())
        self.peak = max(self.peak, self._now)
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:
            self._alive.add(key)
            self._now += storage.nbytes()
            weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self._now -= size
