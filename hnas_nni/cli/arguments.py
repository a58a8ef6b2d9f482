"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.files import check_writable
from hnas_nni.searches.names import GENOTYPE_HELP, NamedArchitecture
from hnas_nni.settings import shared
from hnas_nni.settings.options import add_option
from hnas_nni.training.settings import TrainingSettings

__all__ = [
    "GENOTYPE_HELP",
    "SIZES_SHOWN",
    "add_device",
    "add_force",
    "add_json",
    "add_network_size",
    "add_quiet",
    "add_threads",
    "add_verbose",
    "add_working_dir",
    "architecture_in_network",
    "check_output",
    "check_output_folder",
    "network_sizes",
    "use_threads",
]

SIZES_SHOWN = "the model's, or {}"
"""What the help says of a size that is not given."""


def add_network_size(parser: argparse.ArgumentParser) -> None:
    """Add ``--layers``, ``--scale`` and ``--channels``; of those that are not given :func:`network_sizes` decides."""
    for name in ("layers", "scale", "channels"):
        setting, default = TrainingSettings.stated()[name]
        add_option(parser, name, setting, default, SIZES_SHOWN).default = None


def network_sizes(
    options: argparse.Namespace, architecture: NamedArchitecture, usual: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """Return scale, channels and layers: those given, or else the model's or its paper's, or else the usual ones.

    Parameters
    ----------
    options
        Of the command line.
    architecture
        What the user named.
    usual
        Sizes in place of those of HNAS's networks.

    Raises
    ------
    ValueError
        If one is out of range, or is given that the architecture itself has otherwise.
    """
    sizes = {}
    own = {"channels": architecture.architecture.width, "layers": architecture.architecture.depth}
    for name, size in own.items():
        if size is not None and getattr(options, name) not in (None, size):
            raise ValueError(f"--{name}: the architecture itself has {name} {size}; leave the option out")
    for name in ("scale", "channels", "layers"):
        setting, default = TrainingSettings.stated()[name]
        default = (usual or {}).get(name, default)
        values = (own.get(name), getattr(options, name), getattr(architecture, name), default)
        sizes[name] = next(value for value in values if value is not None)
        setting.check(name, sizes[name])
    return sizes


def architecture_in_network(named: NamedArchitecture, layers: int, quiet: bool) -> Architecture:
    """Return an architecture for networks of L blocks, and say on standard error if it is not as the paper has it.

    Raises
    ------
    GenotypeError
        As :meth:`hnas_nni.searches.names.NamedArchitecture.in_network`.
    """
    asked, found = named.architecture, named.in_network(layers)
    if isinstance(asked, Genotype) and isinstance(found, Genotype) and found != asked and not quiet:
        print(
            f"{named.paper_name} upsamples in block {asked.position}; "
            f"in a network of {layers} it is moved to block {found.position}",
            file=sys.stderr,
        )
    return found


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add ``--force``, without which no file is replaced."""
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def add_json(parser: argparse._ActionsContainer) -> None:
    """Add ``--json``: what the command finds, for a program to read."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_quiet(parser: argparse._ActionsContainer) -> None:
    """Add ``-q``: no progress, no notes on what was written."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add ``-v``, which :func:`hnas_nni.cli.main` gives to every command."""
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show the log of the work, and where in the code an error arose"
    )


def add_device(parser: argparse._ActionsContainer, *, numbered: bool = False) -> None:
    """Add ``--device``; with `numbered` also a certain GPU may be given."""
    text = "auto (CUDA where there is one), cpu, cuda or cuda:1"
    setting = replace(shared.DEVICE, choices=(), help=text) if numbered else shared.DEVICE
    add_option(parser, "device", setting, "auto")


def add_threads(parser: argparse._ActionsContainer) -> None:
    """Add ``--threads``; :func:`use_threads` heeds it."""
    add_option(parser, "threads", shared.THREADS, 0)


def use_threads(threads: int) -> None:
    """Set the CPU threads of torch; 0 leaves its own choice.

    Raises
    ------
    ValueError
        If the number is below 0.
    """
    shared.THREADS.check("--threads", threads)
    if threads:
        import torch

        torch.set_num_threads(threads)


def add_working_dir(parser: argparse.ArgumentParser) -> None:
    """Add ``--working-dir``, for experiments that NNI's own list does not have."""
    parser.add_argument(
        "--working-dir", type=Path, metavar="DIR", help="experimentWorkingDirectory, if NNI does not know the search"
    )


def check_output(path: Path, force: bool) -> None:
    """Check that a file can be written, before the work for it begins.

    Raises
    ------
    FileExistsError
        If there is such a file and `force` is not given.
    IsADirectoryError
        If it is a folder.
    FileNotFoundError
        If its folder does not exist.
    OSError
        If its name is too long, or nothing can be written to its folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists already; give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; create it, or give another place for {path.name}")
    with suppress(FileNotFoundError):
        path.lstat()  # complains of a name that is too long
    check_writable(path.parent)


def check_output_folder(path: Path) -> None:
    """Check that files can be written to a folder, which need not be there, before the work for them begins.

    Raises
    ------
    NotADirectoryError
        If it is a file.
    PermissionError
        If nothing can be written to it.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path}: is a file; give the name of a folder")
    check_writable(path)
