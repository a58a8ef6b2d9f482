"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
from pathlib import Path

from hnas_nni.cli.architecture import GENOTYPE_HELP, NamedArchitecture, read_architecture
from hnas_nni.genotype import DEFAULT_LAYERS, Genotype

__all__ = ["GENOTYPE_HELP", "add_force", "add_network_size", "check_output", "network_sizes", "read_genotype"]

_SIZES = {"layers": DEFAULT_LAYERS, "scale": 2, "channels": 64}


def read_genotype(name: str) -> Genotype:
    """Return a genotype by what :func:`hnas_nni.cli.architecture.read_architecture` takes, which raises."""
    return read_architecture(name).genotype


def add_network_size(parser: argparse.ArgumentParser, *, of_model: bool = False) -> None:
    """Add ``--layers``, ``--scale`` and ``--channels``, with the sizes of the paper's final networks.

    With `of_model` those that are not given are None; :func:`network_sizes` then decides.
    """
    for name, what in (
        ("layers", "blocks of the network, L"),
        ("scale", "upscaling factor: 2, 3 or 4"),
        ("channels", "channels of an operation, C"),
    ):
        usual = f"the model's, or {_SIZES[name]}" if of_model else str(_SIZES[name])
        default = None if of_model else _SIZES[name]
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} ({usual})")


def network_sizes(options: argparse.Namespace, architecture: NamedArchitecture) -> dict[str, int]:
    """Return scale, channels and layers: those given, or else the model's, or else the paper's."""
    sizes = {}
    for name in ("scale", "channels", "layers"):
        given, found = getattr(options, name), getattr(architecture, name)
        sizes[name] = next(value for value in (given, found, _SIZES[name]) if value is not None)
    return sizes


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add ``--force``, without which no file is replaced."""
    parser.add_argument("--force", action="store_true", help="replace files that exist")


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
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists already; give another name, or --force to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; create it, or give another place for {path.name}")
