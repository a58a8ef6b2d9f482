"""Taking the places of one machine out of what is shown to others: home folders, user names, where the project lies."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from hnas_nni.settings import EMBEDDED

_HOMES = ("/home", "/Users", "/root")


def portable(value: Any) -> Any:
    """Return a value of settings in which absolute paths are cut to their ends; lists and mappings likewise.

    Examples
    --------
    >>> portable({"data": ["/home/ann/sets/BSDS500/train", "photos"], "init": "/home/ann/it.safetensors", "scale": 2})
    {'data': ['BSDS500/train', 'photos'], 'init': 'it.safetensors', 'scale': 2}
    """
    if isinstance(value, Mapping):
        return {name: portable(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(entry) for entry in value]
    return _end(value) if isinstance(value, str) and os.path.isabs(value) else value


def portable_command(command: str) -> str:
    """Return a command line in which absolute paths are cut to their ends, and what it starts to its name.

    Examples
    --------
    >>> portable_command("/opt/env/bin/python -m hnas_nni.trial --data='/home/ann/my photos' --steps $STEPS")
    "python -m hnas_nni.trial --data='my photos' --steps $STEPS"
    """
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that only the user's shell understands
        words = command.split()
    for place, word in enumerate(words):
        path = word.partition("=")[2] if word.startswith("-") else word
        if os.path.isabs(path):  # in the text itself, whose quotes and variables stay as they are
            command = command.replace(path, PurePath(path).name if place == 0 else _end(path))
    return command


def _end(path: str) -> str:
    """Return the last two parts of a path, or the last one where the other is a home folder or a user's name."""
    parent, name = PurePath(path).parent, PurePath(path).name
    home = os.path.expanduser("~")
    is_home = str(parent) in (*_HOMES, home) or str(parent.parent) in _HOMES
    if is_home or parent.name in ("", os.path.basename(home), os.environ.get("USER")):
        return f"./{name}" if name == EMBEDDED else name
    return f"{parent.name}/{name}"
