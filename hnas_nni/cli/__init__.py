"""The ``hnas`` command.

A subcommand is a module with `HELP` (one line), ``configure(parser)`` and ``run(options)``: one of this package, or one
that an installed package names in its entry points of the group ``hnas.commands``. All of these modules are imported to
print the help, so they import what is heavy where they run.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from hnas_nni.cli.arguments import add_verbose
from hnas_nni.cli.terminal import Parser, one_line, print_error
from hnas_nni.cli.termination import Terminated, raising_on_sigterm

_OWN = (
    *("data", "best", "report", "show", "train", "evaluate", "compare", "upscale", "export", "import-weights"),
    *("latency", "completion"),
)
"""The subcommands that are modules of this package."""

_ORDER = ("data", "search", *_OWN[1:])
"""The order of the work, which is that of the help; commands of others come last."""

_FOUND = {name: f"hnas_nni.cli.{name.replace('-', '_')}" for name in _OWN} | {
    entry.name: entry.value for entry in sorted(entry_points(group="hnas.commands"))
}

COMMANDS = {name: _FOUND[name] for name in dict.fromkeys([*_ORDER, *_FOUND]) if name in _FOUND}
"""Modules of the subcommands, in the order of the help."""

_EPILOG = """\
hnas COMMAND --help describes a command, with examples.

exit codes:
  0    done
  2    the input can't be used; a line on standard error says what to change
  130  interrupted
  141  the reader of a pipe went away
  143  ended by SIGTERM
"""
_BROKEN_PIPE = 128 + 13
_INTERRUPTED = 128 + 2
_TERMINATED = 128 + 15


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
        a pipe went away, 143 after SIGTERM.
    """
    command = "hnas"
    verbose = False
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be text: the work must not end at one
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parse(argv)
        verbose = options.verbose
        if verbose:
            _show_log()
        command = f"hnas {options.command}"
        with raising_on_sigterm():
            code = import_module(COMMANDS[options.command]).run(options)
        sys.stdout.flush()
        return code or 0
    except SystemExit as exit:  # argparse, after help or an error
        return int(exit.code or 0)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Terminated:
        return _TERMINATED
    except BrokenPipeError:
        # Python would complain at its end, when it flushes what nobody reads any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except (ValueError, OSError, MemoryError) as error:
        if verbose:
            import traceback

            traceback.print_exc()
        print_error(command, one_line(error))
        return 2


@cache
def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="hnas",
        description="Hierarchical neural architecture search for image super-resolution.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = import_module(module)
        command.configure(commands.add_parser(name, help=command.HELP, description=command.__doc__))
    for _, leaf in subcommands(parser):
        add_verbose(leaf)
    return parser


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield the words and the parser of every command without commands of its own, as (("data", "list"), ...)."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield (), parser
    for group in groups:
        for name, child in group.choices.items():
            for words, leaf in subcommands(child):
                yield (name, *words), leaf


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Take the command line apart; what a command does not know is its own error, with its own help."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        leaves = dict(subcommands(parser))
        words = (options.command,)
        leaf = leaves.get(words) or leaves[(*words, options.action)]
        leaf.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _show_log() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


class _Version(argparse.Action):
    """Print the installed version; looked up only when asked for, as that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"hnas {version('hnas-nni')}")
        parser.exit()
