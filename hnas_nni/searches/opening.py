"""Opening a search by its name, whatever left it: the one place that tells an experiment of NNI from a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.searches.history import SearchHistory
from hnas_nni.searches.nni.database import ExperimentError
from hnas_nni.searches.nni.experiment import read_experiment
from hnas_nni.searches.nni.finding import find_experiment
from hnas_nni.searches.record import MeasuredArchitecture
from hnas_nni.searches.run import SearchRun
from hnas_nni.searches.search_folder import SearchFolder


class Search(Protocol):
    """A search, finished or not. What is damaged, or not there yet, is a ValueError that says what to do."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def title(self) -> str:
        """What it is and how far it has come, in a line."""

    @property
    def reward_weights(self) -> list[float]:
        """The values of lambda of its rewards, each once; rewards compare at the same one only."""

    def to_dict(self) -> dict[str, object]:
        """Return what it is as a JSON document."""

    def ranking(self, reward_weight: float | None = None) -> list[MeasuredArchitecture]:
        """Return its architectures, the best first, each once; with `reward_weight` those with this lambda."""

    def architecture(self, name: str) -> tuple[Genotype, dict[str, int]]:
        """Return the architecture of a trial or a rank, or the ``best``, and its network's sizes where known."""

    def model_file(self, architecture: MeasuredArchitecture) -> Path:
        """Return the model file that it left of an architecture of its ranking."""

    def history(self) -> SearchHistory:
        """Return what a report tells of it."""


def open_search(
    name: str | os.PathLike[str] | None = None, working_directory: str | os.PathLike[str] | None = None
) -> Search:
    """Open a search as it is now.

    Parameters
    ----------
    name
        A run folder of ``hnas search``, or an experiment as :func:`hnas_nni.searches.find_experiment` takes it:
        NNI's id, a folder, or None for the latest experiment.
    working_directory
        `experimentWorkingDirectory` of an experiment that NNI does not know.

    Raises
    ------
    ValueError
        If there is no such run or experiment, or it is damaged; the message says what to do.
    OSError
        If what is given can only be a folder, and there is none.
    """
    if name is not None and SearchFolder(name).exists:
        return SearchRun(name)
    try:
        experiment = find_experiment(name, working_directory)
    except ExperimentError as error:
        if name is not None and Path(name).is_dir():
            raise ExperimentError(
                f"{name}: neither a run of hnas search (no settings.json) nor an NNI experiment (no db/nni.sqlite)"
            ) from error
        raise
    return read_experiment(experiment)
