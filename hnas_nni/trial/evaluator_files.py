"""Where an evaluator leaves what others need: in a trial of NNI the folders of trial and experiment."""

from __future__ import annotations

import os
from pathlib import Path

import nni

from hnas_nni.trial.experiment_folder import experiment_folder


def trial_folder() -> Path | None:
    """Return the folder of the trial that this process is; None in any other process."""
    return Path(os.environ["NNI_OUTPUT_DIR"]) if os.environ.get("NNI_PLATFORM") else None


def stages_folder(given: str | None) -> Path:
    """Return the folder that stages of successive halving leave off in and go on from.

    Parameters
    ----------
    given
        What the evaluator was given: in a trial of NNI the folder of several experiments, or None for this one's.

    Raises
    ------
    ValueError
        If there is none, or it would be one machine's alone.
    """
    trial = trial_folder()
    if trial is None:
        if given is None:
            raise ValueError("stages: outside of an experiment of NNI give SuperResolution(stages=DIR)")
        return Path(given)
    if given is not None:
        return Path(given) / nni.get_experiment_id()
    if os.environ["NNI_PLATFORM"] != "local":
        raise ValueError(
            "rungs: the next stage may run on another machine; give SuperResolution(stages=DIR), a folder that all "
            "machines see, or leave rungs out"
        )
    return experiment_folder(trial, nni.get_experiment_id())
