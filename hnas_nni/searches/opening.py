"""Opening a search by its name, whatever left it."""

from __future__ import annotations

import os
from pathlib import Path

from hnas_nni.searches.history import SearchHistory


def read_history(
    run: str | os.PathLike[str] | None = None, working_directory: str | os.PathLike[str] | None = None
) -> SearchHistory:
    """Read a search, finished or not.

    Parameters
    ----------
    run
        A run folder of ``hnas search``, or an experiment as :func:`hnas_nni.searches.find_experiment` takes it:
        NNI's id, a folder, or None for the latest experiment.
    working_directory
        `experimentWorkingDirectory` of an experiment that NNI does not know.

    Raises
    ------
    ValueError
        If there is no such run or experiment, or it is damaged; the message says what to do.
    """
    from hnas_nni.searches.search_folder import SearchFolder

    if run is not None and SearchFolder(run).exists:
        from hnas_nni.searches.search_history import read_run_history

        return read_run_history(Path(run))
    from hnas_nni.searches import ExperimentError, find_experiment
    from hnas_nni.searches.nni_history import read_nni_history

    try:
        experiment = find_experiment(run, working_directory)
    except ExperimentError as error:
        if run is not None and Path(run).is_dir():
            raise ExperimentError(
                f"{run}: neither a run of hnas search (no settings.json) nor an NNI experiment (no db/nni.sqlite)"
            ) from error
        raise
    return read_nni_history(experiment)
