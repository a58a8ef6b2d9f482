"""Files that the node that NNI brings along loads before NNI's own: what NNI's manager has no setting for."""

from __future__ import annotations

from pathlib import Path

VARIABLE = "NODE_OPTIONS"


def node_options(preload: Path, given: str = "") -> str:
    """Return what ``NODE_OPTIONS`` is to be.

    Parameters
    ----------
    preload
        The file.
    given
        What the variable is, which is kept.

    Examples
    --------
    >>> node_options(Path("/our.js"), "--trace-warnings")
    '--trace-warnings --require=/our.js'
    >>> node_options(Path("/our.js"), "--require=/our.js")
    '--require=/our.js'
    """
    path = str(preload)
    if any(letter in path for letter in ' "\\'):
        path = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
    option = f"--require={path}"
    return given if option in given else f"{given} {option}".strip()
