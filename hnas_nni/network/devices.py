"""Devices by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Return a device by its name; ``"auto"`` is CUDA where there is one, or else the CPU.

    Parameters
    ----------
    name
        ``"auto"``, ``"cpu"``, ``"cuda"``, or a certain GPU such as ``"cuda:1"``.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name.startswith("cuda") and not count:
        raise ValueError(f"device {name}: this machine has no usable GPU; give auto or cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        usable = ", ".join(["auto", "cpu", *(f"cuda:{index}" for index in range(count))])
        raise ValueError(f"device {name}: can't be used here; give one of {usable}") from error
    return device
