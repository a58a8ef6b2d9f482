"""What all subcommands share: the parser's manners, error lines, colours and tables."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from hnas_nni.foreign_text import LONGEST_LINE, cut
from hnas_nni.settings.options import OnceParser


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leave the longest name of a command its room; argparse forgets by how much it indents them."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class Parser(OnceParser):
    """An argument parser that keeps line breaks of descriptions and reports errors in one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _HelpFormatter)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        print_error(self.prog, f"{message}; see {self.prog} --help")
        sys.exit(2)


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def strong(text: str) -> str:
    """Return text in bold where standard output shows it, or else as it is."""
    return f"\x1b[1m{text}\x1b[0m" if has_colours(sys.stdout) else text


def print_error(command: str, message: str) -> None:
    """Print the one line of a failing command to standard error."""
    label = "\x1b[1;31merror:\x1b[0m" if has_colours(sys.stderr) else "error:"
    print(f"{command}: {label} {cut(message, LONGEST_LINE - len(f'{command}: error: '))}", file=sys.stderr)


def one_line(error: Exception) -> str:
    """Return what an exception says, in one line, without the numbers of the operating system."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        return place + error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with right-aligned columns, the header in bold on a terminal."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join([strong(lines[0]), *lines[1:]])
