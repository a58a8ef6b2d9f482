"""Versions of the software that results depend on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("hnas-nni", "nni", "torch", "torchvision", "pytorch-lightning", "numpy", "pillow")


def installed_versions() -> dict[str, str]:
    """Return the versions installed here by name, Python's first; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
