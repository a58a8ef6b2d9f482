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
        """Return its architectures, the best first, each once.

        Parameters
        ----------
        reward_weight
            Only those whose reward had this lambda.

        Raises
        ------
        ValueError
            If nothing is ranked yet, or nothing has this lambda.
        """

    def find(self, name: str) -> tuple[Genotype, dict[str, int]]:
        """Return an architecture, and scale, channels and layers of its network by name, where they are known.

        Parameters
        ----------
        name
            ``best``, a trial's id or number, or the rank in a run of ``hnas search``.

        Raises
        ------
        ValueError
            If there is no such one, or its architecture is not known yet.
        """

    def model_file(self, architecture: MeasuredArchitecture) -> Path:
        """Return the model file of the winner, with the weights whose PSNR was measured.

        Raises
        ------
        ValueError
            If the search has left none, or on a machine from which it can't be fetched.
        """

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
    if name is not None and (run := SearchRun(name)).exists:
        return run
    try:
        experiment = find_experiment(name, working_directory)
    except ExperimentError as error:
        if name is not None and Path(name).is_dir():
            raise ExperimentError(
                f"{name}: neither a run of hnas search (no settings.json) nor an NNI experiment (no db/nni.sqlite)"
            ) from error
        raise
    return read_experiment(experiment)
