"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
from pathlib import Path

from hnas_nni.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.published import published

GENOTYPE_HELP = "a genotype's JSON file, or one of the paper's: HNAS-A, HNAS-B, HNAS-C"


def read_genotype(name: str) -> Genotype:
    """Return a published genotype by its name, or one from a file.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    GenotypeError
        If the file holds no valid genotype.
    """
    genotype = published(name)
    if genotype is not None:
        return genotype
    if not Path(name).exists():
        raise FileNotFoundError(f"{name}: no such file; give {GENOTYPE_HELP}")
    return Genotype.from_json(Path(name))


def add_network_size(parser: argparse.ArgumentParser) -> None:
    """Add ``--layers``, ``--scale`` and ``--channels``, with the sizes of the paper's final networks."""
    parser.add_argument("--layers", type=int, default=DEFAULT_LAYERS, help="blocks of the network, L (%(default)s)")
    parser.add_argument("--scale", type=int, default=2, help="upscaling factor: 2, 3 or 4 (%(default)s)")
    parser.add_argument("--channels", type=int, default=64, help="channels of an operation, C (%(default)s)")


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
