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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.output_folder import OutputFolder, OutputFolderError

MEASURED = "measured.csv"
PUBLISHED = "published.csv"
ARCHITECTURES = "architectures.csv"
GENOTYPES = "genotypes"
WINNER = "winner.json"
WINNER_WEIGHTS = "winner.safetensors"
SUPERNET = "supernet.safetensors"
CHECKPOINT = "checkpoint.pt"

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


class SearchFolder(OutputFolder):
    """A search's folder."""

    @property
    def finished(self) -> bool:
        """Whether the search has come to its ranking."""
        return (self.path / ARCHITECTURES).is_file()

    def write_measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what was measured after all epochs so far; genotypes may be objects or their printable form."""
        self._write_csv(MEASURED, [{**row, "genotype": str(row["genotype"])} for row in rows])

    def measured(self) -> list[dict[str, Any]]:
        """Return what was measured after the epochs so far, in time, with :class:`Genotype` objects.

        Empty if the first epoch has not ended, and of searches by versions that kept no such file.

        Raises
        ------
        OutputFolderError
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
        OutputFolderError
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
        OutputFolderError
            If the file is damaged.
        """
        return self._read_architectures(ARCHITECTURES, {"rank": int, "pareto": lambda text: text == "1"})

    def ranking(self) -> list[dict[str, Any]]:
        """Return :meth:`architectures` of a search that has come to them.

        Raises
        ------
        OutputFolderError
            If the search has not ended, or the file is damaged.
        """
        rows = self.architectures()
        if not rows:
            done, planned = len(self.epochs()), self.about()["settings"].get("epochs")
            raise OutputFolderError(
                f"{self.path}: architectures are ranked when the search ends; {done} of {planned} epochs are "
                f"done, {'wait for the rest' if self.running else 'start hnas search again to go on'}"
            )
        return rows

    def _read_architectures(self, name: str, own: Mapping[str, Callable[[str], Any]]) -> list[dict[str, Any]]:
        """Read a table of architectures with columns of its own beside those that all have."""
        kinds: dict[str, Callable[[str], Any]] = {**own, "reward": float, "psnr": float, "gmacs": float}
        kinds |= {"params": int, "position": int, "genotype": Genotype.from_string}
        try:
            return [{column: read(row[column]) for column, read in kinds.items()} for row in self._read_csv(name)]
        except (KeyError, TypeError, ValueError) as error:
            raise OutputFolderError(f"{self.path / name}: damaged ({error})") from None
