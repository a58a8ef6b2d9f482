"""The report of a search: one HTML file to look at, print and pass on.

:func:`read_history` reads an NNI experiment or a run folder of ``hnas search``, :func:`write_report` makes the page.
"""

from __future__ import annotations

import os
from pathlib import Path

from hnas_nni.report.page.history import Architecture, PolicyHistory, SearchHistory, Step
from hnas_nni.report.page.page import render_report, write_report

__all__ = [
    "Architecture",
    "PolicyHistory",
    "SearchHistory",
    "Step",
    "read_history",
    "render_report",
    "write_report",
]


def read_history(
    run: str | os.PathLike[str] | None = None, working_directory: str | os.PathLike[str] | None = None
) -> SearchHistory:
    """Read a search, finished or not.

    Parameters
    ----------
    run
        A run folder of ``hnas search``, or an experiment as :func:`hnas_nni.experiments.find_experiment` takes it:
        NNI's id, a folder, or None for the latest experiment.
    working_directory
        `experimentWorkingDirectory` of an experiment that NNI does not know.

    Raises
    ------
    ValueError
        If there is no such run or experiment, or it is damaged; the message says what to do.
    """
    from hnas_nni.run_folder import RunFolder

    if run is not None and RunFolder(run).exists:
        from hnas_nni.report.page.run_history import read_run_history

        return read_run_history(Path(run))
    from hnas_nni.experiments import ExperimentError, find_experiment
    from hnas_nni.report.page.nni_history import read_nni_history

    try:
        experiment = find_experiment(run, working_directory)
    except ExperimentError as error:
        if run is not None and Path(run).is_dir():
            raise ExperimentError(
                f"{run}: neither a run of hnas search (no settings.json) nor an NNI experiment (no db/nni.sqlite)"
            ) from error
        raise
    return read_nni_history(experiment)
