"""The ``hnas`` command.

A subcommand is a module of this package with `HELP` (one line), ``configure(parser)`` and ``run(options)``,
and a line in `COMMANDS`. All of these modules are imported to print the help, so they import what is heavy
where they run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from hnas_nni.cli.terminal import Parser, one_line, print_error

COMMANDS = {
    "search": "strategies.search.command",
    "data": "hnas_nni.cli.data",
    "train": "hnas_nni.cli.train",
    "show": "hnas_nni.cli.show",
    "best": "hnas_nni.cli.best",
    "report": "hnas_nni.cli.report",
    "evaluate": "hnas_nni.cli.evaluate",
    "export": "hnas_nni.cli.export",
    "upscale": "hnas_nni.cli.upscale",
    "compare": "hnas_nni.cli.compare",
}
"""Modules of the subcommands, in the order of the help."""

_BROKEN_PIPE = 128 + 13
_INTERRUPTED = 128 + 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        0, or 2 if the input was bad (one line on stderr says what), 130 if interrupted, 141 if the reader of
        a pipe went away.
    """
    command = "hnas"
    try:
        options = _parser().parse_args(argv)
        command = f"hnas {options.command}"
        code = import_module(COMMANDS[options.command]).run(options)
        sys.stdout.flush()
        return code or 0
    except SystemExit as exit:  # argparse, after help or an error
        return int(exit.code or 0)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Python would complain at its end, when it flushes what nobody reads any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except (ValueError, OSError) as error:
        print_error(command, one_line(error))
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hnas",
        description="Hierarchical neural architecture search for image super-resolution.",
        epilog="hnas COMMAND --help describes a command, with examples.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = import_module(module)
        command.configure(commands.add_parser(name, help=command.HELP, description=command.__doc__))
    return parser


class _Version(argparse.Action):
    """Print the installed version; looked up only when asked for, as that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"hnas {version('hnas-nni')}")
        parser.exit()
