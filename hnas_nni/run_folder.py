"""The folder that a weight-sharing search leaves: everything to read it, draw it and go on from it.

=========================  ==========================================================================================
``settings.json``          settings, versions, command and time of creation
``epochs.csv``             a row for each epoch, see :data:`EPOCH_COLUMNS`
``measured.csv``           the architectures measured after each epoch, see :data:`MEASURED_COLUMNS`
``architectures.csv``      the ranking, see :data:`ARCHITECTURE_COLUMNS`; missing while the search runs
``genotypes/01.json`` ..   the ranked genotypes; ``winner.json`` is the best
``winner.safetensors``     its network, with the shared weights
``published.csv``          the paper's cells, measured as the ranking was, see :data:`PUBLISHED_COLUMNS`
``supernet.safetensors``   the shared weights
``checkpoint.pt``          what the search goes on from
``tensorboard/``           the columns of ``epochs.csv`` for TensorBoard
=========================  ==========================================================================================
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.files import is_temporary, replacing
from hnas_nni.genotype import Genotype
from hnas_nni.versions import installed_versions

SETTINGS = "settings.json"
EPOCHS = "epochs.csv"
MEASURED = "measured.csv"
PUBLISHED = "published.csv"
ARCHITECTURES = "architectures.csv"
GENOTYPES = "genotypes"
WINNER = "winner.json"
WINNER_WEIGHTS = "winner.safetensors"
SUPERNET = "supernet.safetensors"
CHECKPOINT = "checkpoint.pt"
TENSORBOARD = "tensorboard"
_LOCK = ".lock"

SEARCH_FOLDER = "search"
"""Name of a search's folder in that of an NNI trial that is a whole search."""

EPOCH_COLUMNS = (
    "epoch",
    "seconds",
    "loss",
    "reward",
    "psnr",
    "gmacs",
    "validation_psnr",
    "validation_psnr_best",
    "validation_reward",
    "validation_gmacs",
    "entropy_normal",
    "entropy_upsampling",
    "entropy_position",
    "weight_learning_rate",
    "controller_learning_rate",
)
"""Columns before ``position_1`` .. ``position_L``, the mean probability of each position of the upsampling cell.

Seconds count from the start, over all sessions. Loss is the epoch's mean; reward, PSNR (dB on Y) and GMAC are means
over the architectures that the controller learnt from; the validation columns are of architectures drawn from the
policy on the validation images; entropies are in nats.
"""

_FIGURES = ("reward", "psnr", "gmacs", "params", "position")

ARCHITECTURE_COLUMNS = ("rank", *_FIGURES, "pareto", "genotype")
"""PSNR in dB on Y of the validation images with shared weights; pareto is 1 if none is both better and cheaper."""

MEASURED_COLUMNS = ("epoch", *_FIGURES, "genotype")
"""As :data:`ARCHITECTURE_COLUMNS`, with the weights after that epoch: those of later epochs were trained longer."""

PUBLISHED_COLUMNS = ("name", *_FIGURES, "genotype")
"""As :data:`ARCHITECTURE_COLUMNS`: HNAS-A, -B and -C in networks of the search's size. They are no candidates."""


def best_first(rows: Iterable[Mapping[str, Any]], rank_by: str) -> list[Mapping[str, Any]]:
    """Return architectures as a search ranks them: by "reward" or "psnr", of equals the cheaper first."""
    return sorted(rows, key=lambda row: (-row[rank_by], row["gmacs"]))


class RunFolderError(ValueError):
    """A folder that is not a search's, or is damaged; the message names it."""


class RunFolder:
    """A search's folder.

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
    def finished(self) -> bool:
        """Whether the search has come to its ranking."""
        return (self.path / ARCHITECTURES).is_file()

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

    def create(self, settings: Mapping[str, Any], command: str) -> None:
        """Make the folder and note settings, versions and command.

        Raises
        ------
        RunFolderError
            If the folder holds something else.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self._others())):
            raise RunFolderError(f"{self.path}: exists and is not a search's folder; give another one")
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
        RunFolderError
            If there is no such file or it is damaged.
        """
        try:
            about = json.loads((self.path / SETTINGS).read_text(encoding="utf-8"))
            if not isinstance(about["settings"], dict):
                raise TypeError("settings are no object")
        except FileNotFoundError:
            raise RunFolderError(f"{self.path}: not the folder of a search, it has no {SETTINGS}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{self.path / SETTINGS}: damaged ({error})") from None
        return dict(about)

    def write_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write all epochs so far."""
        self._write_csv(EPOCHS, rows)

    def epochs(self) -> list[dict[str, float]]:
        """Return the epochs so far; empty if the first has not ended.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        rows = self._read_csv(EPOCHS)
        try:
            return [{name: float(value) for name, value in row.items()} for row in rows]
        except (TypeError, ValueError) as error:
            raise RunFolderError(f"{self.path / EPOCHS}: damaged ({error})") from None

    def write_measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what was measured after all epochs so far; genotypes may be objects or their printable form."""
        self._write_csv(MEASURED, [{**row, "genotype": str(row["genotype"])} for row in rows])

    def measured(self) -> list[dict[str, Any]]:
        """Return what was measured after the epochs so far, in time, with :class:`Genotype` objects.

        Empty if the first epoch has not ended, and of searches by versions that kept no such file.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        return self._read_architectures(MEASURED, {"epoch": int})

    def write_published(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what the paper's cells reached."""
        self._write_csv(PUBLISHED, [{**row, "genotype": str(row["genotype"])} for row in rows])

    def published(self) -> list[dict[str, Any]]:
        """Return what the paper's cells reached, with :class:`Genotype` objects; empty if they were not measured.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        return self._read_architectures(PUBLISHED, {"name": str})

    def write_architectures(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the ranking: its genotypes, the winner, and at last the table, which marks the end of the search."""
        folder = self.path / GENOTYPES
        folder.mkdir(exist_ok=True)
        for row in rows:
            row["genotype"].to_json(folder / f"{row['rank']:02}.json")
        rows[0]["genotype"].to_json(self.path / WINNER)
        self._write_csv(ARCHITECTURES, [{**row, "genotype": str(row["genotype"])} for row in rows])

    def architectures(self) -> list[dict[str, Any]]:
        """Return the ranking, best first, with :class:`Genotype` objects; empty while the search runs.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        return self._read_architectures(ARCHITECTURES, {"rank": int, "pareto": lambda text: text == "1"})

    def ranking(self) -> list[dict[str, Any]]:
        """Return :meth:`architectures` of a search that has come to them.

        Raises
        ------
        RunFolderError
            If the search has not ended, or the file is damaged.
        """
        rows = self.architectures()
        if not rows:
            done, planned = len(self.epochs()), self.about()["settings"].get("epochs")
            raise RunFolderError(
                f"{self.path}: architectures are ranked when the search ends; {done} of {planned} epochs are "
                f"done, {'wait for the rest' if self.running else 'start hnas search again to go on'}"
            )
        return rows

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second search out of the folder for the while; the lock ends with the process.

        Raises
        ------
        RunFolderError
            If a search is running here.
        """
        with (self.path / _LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunFolderError(f"{self.path}: a search is running here; wait for it, or give another") from None
            # What a killed process was writing is of no use to anybody.
            for entry in filter(is_temporary, list(self.path.iterdir())):
                entry.unlink(missing_ok=True)
            yield

    def _others(self) -> Iterator[Path]:
        return (entry for entry in self.path.iterdir() if entry.name != _LOCK and not is_temporary(entry))

    def _write(self, name: str, text: str) -> None:
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with replacing(self.path / name) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def _read_architectures(self, name: str, own: Mapping[str, Callable[[str], Any]]) -> list[dict[str, Any]]:
        """Read a table of architectures with columns of its own beside those that all have."""
        kinds: dict[str, Callable[[str], Any]] = {**own, "reward": float, "psnr": float, "gmacs": float}
        kinds |= {"params": int, "position": int, "genotype": Genotype.from_string}
        try:
            return [{column: read(row[column]) for column, read in kinds.items()} for row in self._read_csv(name)]
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{self.path / name}: damaged ({error})") from None

    def _read_csv(self, name: str) -> list[dict[str, str]]:
        try:
            with (self.path / name).open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []
        except (UnicodeDecodeError, csv.Error) as error:
            raise RunFolderError(f"{self.path / name}: damaged ({error})") from None
