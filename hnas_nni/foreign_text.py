"""Reading what somebody else may have written: of a bounded size, and shown in messages at a bounded length."""

from __future__ import annotations

import json
import os
import reprlib
import stat
from typing import Any

MOST_BYTES = 256 * 2**20
"""Size of the largest text that is read; only histories of long searches come near."""

LONGEST_LINE = 300
"""Of an error message, in characters."""

_LEFT_OUT = " ... "
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxlong, _SHOWN.maxstring, _SHOWN.maxother = 2, 40, 60, 60


def read_text(path: str | os.PathLike[str], most: int = MOST_BYTES) -> str:
    """Read a text file in UTF-8, its line ends as they are, without the byte-order mark that some editors write.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        If it can't be read.
    ValueError
        If it is no regular file, as a device and a pipe have no end, too large, or not text; the message names it.
    """
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):  # of a folder, opening it complains
        raise ValueError(f"{os.fspath(path)}: not a regular file, but a device or a pipe; give a file")
    with open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{os.fspath(path)}: larger than {most // 2**20} MiB; that can't be the right file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{os.fspath(path)}: not a text file") from None


def parse_json(text: str | bytes) -> Any:
    """Return what JSON text stands for.

    Raises
    ------
    ValueError
        If it is not JSON, or nested more deeply than Python's stack allows.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def shown(value: object) -> str:
    """Return how a message shows a value of a file: as Python writes it, but no longer than a line takes.

    Examples
    --------
    >>> shown([[[[1]]]]), len(shown("no end" * 1000))
    ('[[[...]]]', 60)
    """
    return _SHOWN.repr(value)


def as_number(value: object) -> float | None:
    """Return a value of a file or a report as a number; None of what is none, True and False included.

    Examples
    --------
    >>> as_number(1), as_number("1"), as_number(10**400)
    (1.0, None, None)
    """
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def cut(message: str, most: int = LONGEST_LINE) -> str:
    """Return a message as one line, without what is between its beginning and its end if it would be too long.

    The beginning says what is wrong, the end what to do. Line breaks, and what else is not printable, as names and
    texts of files from anybody may have it, are shown by their codes.

    Parameters
    ----------
    message
        What an error says.
    most
        Characters of the line.

    Examples
    --------
    >>> cut("it\\n.json: " + 1000 * "no" + "; give another", 40)
    'it\\\\n.json: nononononon ... give another'
    """
    if len(message) > 10 * most:
        message = message[: 5 * most] + message[-5 * most :]
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
    if len(line) <= most:
        return line
    end = most // 3
    return line[: most - end - len(_LEFT_OUT)].rstrip() + _LEFT_OUT + line[-end:].lstrip()
