"""Parameter sharing between trials: what one process learned, the next one starts from (ENAS, arXiv 1802.03268).

NNI runs every trial as a process of its own and knows no sharing. Here the weights of all trials of an experiment lie
in one SQLite database, one row for each *unit*: the stem, the tail, a block's preprocessor, or one candidate operation
on one edge of one block. A trial reads the units of its own path and writes them back after training.

The database is bounded by the number of units of the space, whatever the number of trials. All units of a trial are
written in one transaction, so a kill at any moment leaves the state before or after, never between. Trials that
trained the same unit at the same time are averaged: the one that comes second finds a newer version than the one it
started from, and stores the mean of both (local SGD, arXiv 1805.09767).

Nodes add up what they read, and how many paths lead to a node depends on the architecture. So that what reads a node
fits all of them, its weights are stored for a single path and divided by the number of paths where they are loaded
(:mod:`hnas_nni.network.first_weights`).
"""

from __future__ import annotations

import copy
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from hnas_nni.architecture.cells import INPUT_NODES
from hnas_nni.foreign_text import parse_json
from hnas_nni.network.first_weights import divide_by_paths, multiply_by_paths
from hnas_nni.network.network import CellBlock, HNASNetwork, block_cells
from hnas_nni.trial.packed import pack, unpack
from hnas_nni.trial.weights_client import CommonWeights

FILE_NAME = "shared_weights.sqlite"
_LOCK_TIMEOUT = 60.0
"""Seconds to wait for another trial's transaction, which takes milliseconds."""
_MOST_VERSIONS = 2**62

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (scale INTEGER, channels INTEGER, layers INTEGER);
CREATE TABLE IF NOT EXISTS units (name TEXT PRIMARY KEY, version INTEGER NOT NULL, tensors BLOB NOT NULL);
"""


class WeightsOfTrials(ABC):
    """The weights that trials share, wherever they are.

    Parameters
    ----------
    path
        The file that error lines name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._versions: dict[str, int] = {}

    def load_into(self, network: HNASNetwork) -> int:
        """Copy what is known of a network's units into it.

        Returns
        -------
        int
            How many units were found; the others keep their initial weights.
        """
        units = dict(_units(network))
        rows = self._read({name: unit.state_dict() for name, unit in units.items()})
        multiply_by_paths(network)
        for name, (version, tensors) in rows.items():
            units[name].load_state_dict(tensors)
            self._versions[name] = version
        divide_by_paths(network)
        return len(rows)

    def give_back(self, network: HNASNetwork) -> None:
        """Store the units of a trained network, in one transaction."""
        network = copy.deepcopy(network)
        multiply_by_paths(network)
        units = {
            name: {key: tensor.detach().cpu().contiguous() for key, tensor in unit.state_dict().items()}
            for name, unit in _units(network)
        }
        self._versions |= self.merge(units, {name: self._versions.get(name, 0) for name in units})

    @abstractmethod
    def merge(self, units: Mapping[str, Mapping[str, Tensor]], started_from: Mapping[str, int]) -> dict[str, int]:
        """Store units in one transaction; the mean, where another trial has stored the same one meanwhile.

        Parameters
        ----------
        units
            Tensors by unit and name.
        started_from
            The versions that were trained on; 0 of what was not there.

        Returns
        -------
        dict
            The versions that are there now.
        """

    @abstractmethod
    def stored(self, names: Iterable[str]) -> dict[str, tuple[int, bytes]]:
        """Return version and safetensors of the units of some names that are stored, all of one moment."""

    def _read(self, expected: Mapping[str, Mapping[str, Tensor]]) -> dict[str, tuple[int, dict[str, Tensor]]]:
        """Return version and tensors of the units that are stored, all of one moment."""
        return {
            name: (version, self._checked(name, version, blob, expected[name]))
            for name, (version, blob) in self.stored(expected).items()
        }

    def _checked(self, name: str, version: Any, stored: Any, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a unit's tensors, which are to be like others."""
        try:
            tensors = load(stored)
            shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in tensors.items()}
            sound = shapes == {key: (tensor.shape, tensor.dtype) for key, tensor in expected.items()}
        except Exception:  # what damaged bytes lead to is of many types
            sound = False
        if not sound or not isinstance(version, int) or not 0 < version < _MOST_VERSIONS:
            raise ValueError(f"{self.path}: the unit {name} is damaged; remove the file, and sharing starts anew")
        return tensors


class SharedWeights(WeightsOfTrials):
    """The weights that trials share, in a database.

    Parameters
    ----------
    path
        The database; made if it does not exist.
    scale, channels, layers
        Sizes of the networks. Only networks of equal sizes can share.

    Raises
    ------
    ValueError
        If the database holds weights for other sizes, is damaged or none, or the disk is full; the methods too.
    FileNotFoundError
        If the folder does not exist.
    """

    def __init__(self, path: str | Path, *, scale: int, channels: int, layers: int) -> None:
        super().__init__(Path(path))
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path.parent}: no such folder for the shared weights")
        sizes = (scale, channels, layers)
        with self._transaction("BEGIN IMMEDIATE") as database:
            for statement in _SCHEMA.split(";")[:-1]:
                database.execute(statement)
            found = database.execute("SELECT * FROM settings").fetchone()
            if found is None:
                database.execute("INSERT INTO settings VALUES (?, ?, ?)", sizes)
        if found not in (None, sizes):
            raise ValueError(
                f"{self.path}: holds weights for scale, channels, layers = {found}, not {sizes}; "
                "give each size its own experiment, or switch sharing off"
            )

    def merge(self, units: Mapping[str, Mapping[str, Tensor]], started_from: Mapping[str, int]) -> dict[str, int]:
        """Store units, as every kind does."""
        versions = {}
        with self._transaction("BEGIN IMMEDIATE") as database:
            for name, tensors in units.items():
                version, other = self._unit(database, name, tensors) or (0, None)
                if other is not None and version != started_from.get(name, 0):
                    tensors = {key: torch.lerp(tensor, other[key], 0.5) for key, tensor in tensors.items()}
                database.execute("REPLACE INTO units VALUES (?, ?, ?)", (name, version + 1, save(dict(tensors))))
                versions[name] = version + 1
        return versions

    def stored(self, names: Iterable[str]) -> dict[str, tuple[int, bytes]]:
        """Return what is stored, in one transaction."""
        with self._transaction("BEGIN") as database:
            rows = {
                name: database.execute("SELECT version, tensors FROM units WHERE name = ?", (name,)).fetchone()
                for name in names
            }
        return {name: row for name, row in rows.items() if row is not None}

    def __len__(self) -> int:
        """Return the number of units that are stored."""
        with self._transaction("BEGIN") as database:
            (number,) = database.execute("SELECT COUNT(*) FROM units").fetchone()
        return number

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction; what SQLite complains of names the file."""
        try:
            database = sqlite3.connect(self.path, timeout=_LOCK_TIMEOUT, isolation_level=None)
            with closing(database), database:
                database.execute(begin)
                yield database
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where what SQLite says quotes damaged text
            what = "" if "full" in str(error) else "; if it is damaged, remove it, and sharing starts anew"
            raise ValueError(f"{self.path}: can't be used for shared weights ({error}){what}") from error

    def _unit(
        self, database: sqlite3.Connection, name: str, expected: Mapping[str, Tensor]
    ) -> tuple[int, dict[str, Tensor]] | None:
        """Return version and tensors of a unit, which are to be like others; None if it is not stored."""
        row = database.execute("SELECT version, tensors FROM units WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        version, stored = row
        return version, self._checked(name, version, stored, expected)


class CommonSharedWeights(WeightsOfTrials):
    """The weights that trials on several machines share: the same database, beside NNI's manager.

    Parameters
    ----------
    common
        The way there.
    scale, channels, layers
        Sizes of the networks.

    Raises
    ------
    ValueError
        If it can't be reached, and what :class:`SharedWeights` raises; the methods.
    """

    def __init__(self, common: CommonWeights, *, scale: int, channels: int, layers: int) -> None:
        super().__init__(Path(FILE_NAME))
        self._common = common
        self._sizes = (scale, channels, layers)

    def merge(self, units: Mapping[str, Mapping[str, Tensor]], started_from: Mapping[str, int]) -> dict[str, int]:
        """Have the units stored there."""
        header = {"sizes": self._sizes, "units": [[name, started_from.get(name, 0)] for name in units]}
        answer = self._common.post("merge", pack(header, [save(dict(tensors)) for tensors in units.values()]))
        return {str(name): int(version) for name, version in parse_json(answer).items()}

    def stored(self, names: Iterable[str]) -> dict[str, tuple[int, bytes]]:
        """Return what is stored there."""
        request = json.dumps({"sizes": self._sizes, "names": list(names)}).encode()
        header, blobs = unpack(self._common.post("read", request))
        return {name: (version, blob) for (name, version), blob in zip(header, blobs, strict=True)}


def _units(network: HNASNetwork) -> Iterator[tuple[str, nn.Module]]:
    """Yield a network's units by their names in the space, leaving out those without parameters.

    An operation is shared between architectures with the same operation on the same edge of the same block. Where it
    reads from does not matter, but in the upsampling cell for whether it upsamples.
    """
    yield "stem", network.stem
    yield "tail", network.tail
    genotype = network.genotype
    for index, cell in enumerate(block_cells(genotype.position, network.layers), start=1):
        block = cast(CellBlock, network.blocks[index - 1])
        prefix = f"block {index}/{cell}"
        yield f"{prefix}/preprocessor", block.preprocessor
        for node, slot, edge in getattr(genotype, cell).slots():
            operation = block.operation(node, slot)
            if next(operation.parameters(), None) is not None:
                reads = "input" if cell == "upsampling" and edge.source < INPUT_NODES else "any"
                yield f"{prefix}/{node}.{slot}/{edge.operation} from {reads}", operation
