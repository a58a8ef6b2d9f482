"""The folder that a search or a training writes: what it was asked for, how far it is, and a lock."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hnas_nni.files import is_temporary, replacing, write_text
from hnas_nni.foreign_text import parse_json, read_text

SETTINGS = "settings.json"
EPOCHS = "epochs.csv"
TENSORBOARD = "tensorboard"
_LOCK = ".lock"

_PACKAGES = ("hnas-nni", "nni", "torch", "torchvision", "pytorch-lightning", "numpy", "pillow")


def installed_versions() -> dict[str, str]:
    """Return the versions installed here by name, Python's first; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class OutputFolderError(ValueError):
    """A folder that is not what a search or a training left, or is damaged; the message names it."""


class OutputFolder:
    """A folder with settings, a table of epochs and a lock.

    Parameters
    ----------
    path
        The folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """Whether a search has begun here."""
        return (self.path / SETTINGS).is_file()

    @property
    def running(self) -> bool:
        """Whether a search is at work here: a process holds :meth:`lock`."""
        try:
            with (self.path / _LOCK).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no lock, or a file system without
            return False
        return False

    def check_name(self) -> None:
        """Raise OutputFolderError where TensorBoard can't write."""
        try:
            os.fspath(self.path).encode()
        except UnicodeEncodeError:
            raise OutputFolderError(
                f"{self.path}: the name is not UTF-8, and TensorBoard writes to no such folder; give another one"
            ) from None

    def check_place(self) -> None:
        """Raise OutputFolderError where a search can't begin: something else is there, or its name is no text."""
        self.check_name()
        if self.path.exists() and (not self.path.is_dir() or any(self._others())):
            raise OutputFolderError(f"{self.path}: exists and is not a search's folder; give another one")

    def create(self, settings: Mapping[str, Any], command: str) -> None:
        """Make the folder and note settings, versions and command.

        Raises
        ------
        OutputFolderError
            If the folder holds something else, or its name is no text.
        """
        self.check_place()
        self.path.mkdir(parents=True, exist_ok=True)
        about = {
            "settings": dict(settings),
            "versions": installed_versions(),
            "command": command,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self._write(SETTINGS, json.dumps(about, indent=2) + "\n")

    def about(self) -> dict[str, Any]:
        """Return what ``settings.json`` holds.

        Raises
        ------
        OutputFolderError
            If there is no such file or it is damaged.
        """
        try:
            about = parse_json(read_text(self.path / SETTINGS))
            if not isinstance(about["settings"], dict):
                raise TypeError("settings are no object")
        except FileNotFoundError:
            raise OutputFolderError(f"{self.path}: not the folder of a search, it has no {SETTINGS}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise OutputFolderError(f"{self.path / SETTINGS}: damaged ({error})") from None
        return dict(about)

    def write_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write all epochs so far."""
        self._write_csv(EPOCHS, rows)

    def epochs(self) -> list[dict[str, float]]:
        """Return the epochs so far; empty if the first has not ended.

        Raises
        ------
        OutputFolderError
            If the file is damaged.
        """
        rows = self._read_csv(EPOCHS)
        try:
            return [{name: float(value) for name, value in row.items()} for row in rows]
        except (TypeError, ValueError) as error:
            raise OutputFolderError(f"{self.path / EPOCHS}: damaged ({error})") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second search out of the folder for the while; the lock ends with the process.

        Raises
        ------
        OutputFolderError
            If a search is running here.
        """
        with (self.path / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutputFolderError(
                    f"{self.path}: a search is running here; wait for it, or give another"
                ) from None
            # What a killed process was writing is of no use to anybody.
            for entry in filter(is_temporary, list(self.path.iterdir())):
                entry.unlink(missing_ok=True)
            yield

    def _others(self) -> Iterator[Path]:
        return (entry for entry in self.path.iterdir() if entry.name != _LOCK and not is_temporary(entry))

    def _write(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    def _write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with replacing(self.path / name) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def _read_csv(self, name: str) -> list[dict[str, str]]:
        try:
            return list(csv.DictReader(io.StringIO(read_text(self.path / name), newline="")))
        except FileNotFoundError:
            return []
        except (ValueError, csv.Error) as error:
            raise OutputFolderError(f"{self.path / name}: damaged ({error})") from None
