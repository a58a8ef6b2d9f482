"""What is named here and lies in packages that need torch: imported when it is called, so that this one needs none."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any


def lazy(reference: str, **arguments: Any) -> Callable[..., Any]:
    """Return a callable that imports what it stands for when it is called.

    Parameters
    ----------
    reference
        Where it lies, ``package.module:name``.
    **arguments
        Handed on with each call, behind what the call itself gives.

    Examples
    --------
    >>> lazy("math:prod", start=10)([2, 3])
    60
    """
    return partial(_call, reference, **arguments)


def _call(reference: str, /, *values: Any, **arguments: Any) -> Any:
    return pkgutil.resolve_name(reference)(*values, **arguments)
