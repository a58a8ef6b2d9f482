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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.output_folder import SETTINGS, OutputFolder, OutputFolderError
from hnas_nni.searches.record import MeasuredArchitecture

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


_COLUMNS = {ARCHITECTURES: ARCHITECTURE_COLUMNS, MEASURED: MEASURED_COLUMNS, PUBLISHED: PUBLISHED_COLUMNS}
_READ: dict[str, Callable[[Any], Any]] = {
    "rank": int,
    "epoch": int,
    "name": str,
    "reward": float,
    "psnr": float,
    "gmacs": float,
    "params": int,
    "position": int,
    "pareto": lambda cell: bool(int(cell)),
    "genotype": Genotype.from_string,
}
_FIELDS = {"name": "published"}
"""Fields of a record by their columns, where they have other names."""


def to_row(architecture: MeasuredArchitecture, columns: Sequence[str]) -> dict[str, int | float | str]:
    """Return a record as a table's row of plain data."""
    position, genotype = architecture.genotype.position, str(architecture.genotype)
    row = {**vars(architecture), "position": position, "genotype": genotype, "name": architecture.published}
    return {column: int(row[column]) if column == "pareto" else row[column] for column in columns}


def from_row(row: Mapping[str, Any], columns: Sequence[str], reward_weight: float) -> MeasuredArchitecture:
    """Return the record of a row, its cells as :func:`to_row` gives them or as text, and lambda of the search.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the row is none of this table.
    """
    cells = {_FIELDS.get(column, column): _READ[column](row[column]) for column in columns}
    del cells["position"]  # the genotype has it
    return MeasuredArchitecture(**cells, reward_weight=reward_weight)


class SearchFolder(OutputFolder):
    """A search's folder."""

    @property
    def finished(self) -> bool:
        """Whether the search has come to its ranking."""
        return (self.path / ARCHITECTURES).is_file()

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the search was asked for; raises as :meth:`about`."""
        return self.about()["settings"]

    @property
    def reward_weight(self) -> float:
        """lambda of the search's rewards; raises as :meth:`about`."""
        try:
            return float(self.settings["reward_lambda"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputFolderError(f"{self.path / SETTINGS}: damaged (reward_lambda: {error!r})") from None

    def write_measured(self, architectures: Sequence[MeasuredArchitecture]) -> None:
        """Write what was measured after all epochs so far."""
        self._write_table(MEASURED, architectures)

    def measured(self) -> list[MeasuredArchitecture]:
        """Return what was measured after the epochs so far, in time.

        Empty if the first epoch has not ended, and of searches by versions that kept no such file.

        Raises
        ------
        OutputFolderError
            If the file is damaged.
        """
        return self._read_table(MEASURED)

    def write_published(self, architectures: Sequence[MeasuredArchitecture]) -> None:
        """Write what the paper's cells reached."""
        self._write_table(PUBLISHED, architectures)

    def published(self) -> list[MeasuredArchitecture]:
        """Return what the paper's cells reached; empty if they were not measured.

        Raises
        ------
        OutputFolderError
            If the file is damaged.
        """
        return self._read_table(PUBLISHED)

    def write_architectures(self, ranking: Sequence[MeasuredArchitecture]) -> None:
        """Write the ranking: its genotypes, the winner, and at last the table, which marks the end of the search."""
        folder = self.path / GENOTYPES
        folder.mkdir(exist_ok=True)
        for entry in ranking:
            entry.genotype.to_json(folder / f"{entry.rank:02}.json")
        ranking[0].genotype.to_json(self.path / WINNER)
        self._write_table(ARCHITECTURES, ranking)

    def architectures(self) -> list[MeasuredArchitecture]:
        """Return the ranking, best first; empty while the search runs.

        Raises
        ------
        OutputFolderError
            If the file is damaged.
        """
        return self._read_table(ARCHITECTURES)

    def _write_table(self, name: str, architectures: Sequence[MeasuredArchitecture]) -> None:
        self._write_csv(name, [to_row(entry, _COLUMNS[name]) for entry in architectures])

    def _read_table(self, name: str) -> list[MeasuredArchitecture]:
        rows = self._read_csv(name)
        weight = self.reward_weight if rows else 0.0
        try:
            return [from_row(row, _COLUMNS[name], weight) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise OutputFolderError(f"{self.path / name}: damaged ({error})") from None
