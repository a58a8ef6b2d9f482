"""Modules that register operations of one's own, by name: trials of NNI and the ``hnas`` command import them.

Both are processes of their own, and a registration (:mod:`hnas_nni.network.own_operations`) lasts as long as the
process. They import what the environment variable ``HNAS_OPERATIONS`` names before anything else.
"""

from __future__ import annotations

import importlib
import os

VARIABLE = "HNAS_OPERATIONS"
"""Environment variable with the modules that register operations, e.g. ``own_operations,more.operations``."""


def load_modules() -> None:
    """Import the modules that ``HNAS_OPERATIONS`` names.

    Raises
    ------
    ImportError
        If there is no such module; the message names the variable.
    """
    for module in filter(None, (name.strip() for name in os.environ.get(VARIABLE, "").split(","))):
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            raise ImportError(
                f"{VARIABLE}: there is no module {module}; put the folder that it lies in into PYTHONPATH"
            ) from None
