"""Reading NNI experiments from disk, with or without a running manager.

:func:`find_experiment` finds an experiment's folder, :func:`read_trials` reads its trials, and :func:`rank` orders what
they evaluated. The database is opened for reading only, so an experiment can be read while it runs.
"""

from __future__ import annotations

from hnas_nni.experiments.database import ExperimentError, is_experiment, query
from hnas_nni.experiments.finding import find_experiment
from hnas_nni.experiments.reading import read_trials
from hnas_nni.experiments.records import RankedGenotype, TrialRecord, rank, reward_weights

__all__ = [
    "ExperimentError",
    "RankedGenotype",
    "TrialRecord",
    "find_experiment",
    "is_experiment",
    "query",
    "rank",
    "read_trials",
    "reward_weights",
]
