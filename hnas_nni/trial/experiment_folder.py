"""The folder of the experiment that a trial belongs to."""

from __future__ import annotations

from pathlib import Path


def experiment_folder(trial_folder: Path, experiment: str) -> Path:
    """Return the experiment's folder that a trial's folder lies in.

    Raises
    ------
    ValueError
        If no parent bears the experiment's id.
    """
    for folder in trial_folder.parents:
        if folder.name == experiment:
            return folder
    raise ValueError(
        f"{trial_folder}: not inside a folder of experiment {experiment}; "
        "give --shared-weights FILE on a disk that all trials see, or --no-sharing"
    )
