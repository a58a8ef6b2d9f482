"""Whether code waits for the device: on a GPU each time costs more than the kernels of a small step."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal", "aten::masked_select")
"""Operations whose result Python needs: on a GPU each of them waits."""


class _NoReads(TorchDispatchMode):
    """Refuses operations that would wait if they ran on a GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in _READS:
            raise RuntimeError(f"{name} would wait for the device")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Let whatever waits for the device raise an error; on a CPU, whatever would wait for a GPU."""
    if device.type != "cuda":
        with _NoReads():
            yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.synchronize(device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@contextmanager
def counted_waiting(device: torch.device) -> Iterator[list[str]]:
    """Collect what CUDA says of each time that the device is waited for; always empty on a CPU."""
    found: list[str] = []
    if device.type != "cuda":
        yield found
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
    finally:
        torch.cuda.set_sync_debug_mode(before)
    found += [str(one.message) for one in caught if "synchronizing" in str(one.message)]
