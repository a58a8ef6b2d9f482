"""Print a script that completes hnas in a shell: commands, options, their values, and files where files are meant."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "print a completion script for bash or zsh"
_SHELLS = ("bash", "zsh")
_EXAMPLES = """\
examples:
  hnas completion bash > ~/.local/share/bash-completion/completions/hnas
  hnas completion zsh > "${fpath[1]}/_hnas"

for the running shell only:
  eval "$(hnas completion bash)"
"""

_FILES = frozenset({"FILE", "MODEL", "IMAGE", "GENOTYPE"})
_FOLDERS = frozenset({"DIR", "FOLDER", "EXPERIMENT", "RUN"})
"""What is completed, by the name that the help gives an argument."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``hnas completion``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))


def run(options: argparse.Namespace) -> None:
    """Print the script."""
    import shtab

    from hnas_nni.cli import make_parser, subcommands

    parser = make_parser()
    for _, leaf in subcommands(parser):
        for action in leaf._actions:
            _mark(action, {"files": shtab.FILE, "folders": shtab.DIRECTORY})
    print(shtab.complete(parser, options.shell))


def _mark(action: Any, kinds: dict[str, Any]) -> None:
    """Say what completes an argument, in the attribute that shtab reads."""
    if action.metavar in _FILES:
        action.complete = kinds["files"]
    elif action.metavar in _FOLDERS:
        action.complete = kinds["folders"]
