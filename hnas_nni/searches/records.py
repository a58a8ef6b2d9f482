"""Trials of an experiment, and the ranking of what they evaluated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.searches.database import ExperimentError
from hnas_nni.searches.search_folder import SEARCH_FOLDER, SearchFolder


@dataclass(frozen=True)
class TrialRecord:
    """One trial of an experiment.

    Parameters
    ----------
    number
        Counts the trials from 0 ("Trial No." of the web UI). NNI reuses numbers after a resume, but not ids.
    id
        NNI's name of the trial.
    status
        WAITING, RUNNING, SUCCEEDED, FAILED, USER_CANCELED, SYS_CANCELED or EARLY_STOPPED.
    genotype
        The architecture that was evaluated, or None before the trial's first report, as nothing else tells
        it.
    reward
        The final metric, which NNI optimises; None until it is reported.
    psnr
        PSNR on Y in dB, or None if the trial did not report it.
    gmacs
        Multiply-adds in 10^9 at a 3x480x480 input, or None.
    params
        Number of parameters, or None.
    intermediate
        The intermediate results in the order of the trial's reports: PSNR in dB, or the reward after each epoch of a
        trial that is a whole search.
    start, end
        When the trial started and ended, in UTC; None if it did not.
    folder
        Where the trial ran and left its files, or None if it lies on another machine or was removed.
    given_weight
        lambda of the reward, if NNI handed it to the trial; known with its first report.
    """

    number: int
    id: str
    status: str
    genotype: Genotype | None = None
    reward: float | None = None
    psnr: float | None = None
    gmacs: float | None = None
    params: int | None = None
    intermediate: tuple[float, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    folder: Path | None = None
    given_weight: float | None = None

    @property
    def reward_weight(self) -> float | None:
        """lambda of the trial's reward: what NNI gave it, or what its own search had; None where neither tells."""
        if self.given_weight is None and self.search is not None:
            return float(self.search.about()["settings"]["reward_lambda"])
        return self.given_weight

    @property
    def search(self) -> SearchFolder | None:
        """What a trial that is a whole search (:mod:`strategies.search.trial`) left; None of any other trial."""
        if self.folder is None:
            return None
        run = SearchFolder(self.folder / SEARCH_FOLDER)
        return run if run.exists else None

    @property
    def finished(self) -> bool:
        """Whether the trial succeeded with a finite reward for a known architecture."""
        return (
            self.status == "SUCCEEDED"
            and self.genotype is not None
            and self.reward is not None
            and math.isfinite(self.reward)
        )


@dataclass(frozen=True)
class RankedGenotype:
    """An architecture of an experiment with its best trial.

    Parameters
    ----------
    genotype
        The architecture.
    trial
        The trial of this architecture with the highest reward.
    trials
        How many finished trials evaluated it.
    """

    genotype: Genotype
    trial: TrialRecord
    trials: int


def reward_weights(trials: Iterable[TrialRecord]) -> list[float]:
    """Return the values of lambda that finished trials had, each once; rewards compare at the same one only."""
    weights = {trial.reward_weight for trial in trials if trial.finished}
    return sorted(weight for weight in weights if weight is not None)


def rank(trials: Iterable[TrialRecord]) -> list[RankedGenotype]:
    """Return the architectures of finished trials by reward, the best first, each once.

    Of equal rewards the earlier trial comes first.

    Raises
    ------
    ExperimentError
        If no trial is finished.
    """
    trials = list(trials)
    ordered = sorted(
        (trial for trial in trials if trial.finished),
        key=lambda trial: (-(trial.reward or 0.0), trial.number),
    )
    if not ordered:
        raise ExperimentError(_why_nothing_finished(trials))
    times = Counter(trial.genotype for trial in ordered)
    best: dict[Genotype, TrialRecord] = {}
    for trial in ordered:
        assert trial.genotype is not None
        best.setdefault(trial.genotype, trial)
    return [RankedGenotype(genotype, trial, times[genotype]) for genotype, trial in best.items()]


def _why_nothing_finished(trials: list[TrialRecord]) -> str:
    if not trials:
        return "no trial has started yet; wait until the search has finished some, or see `nnictl log stderr`"
    states = ", ".join(f"{number} {status}" for status, number in Counter(t.status for t in trials).items())
    logs = (trial.folder / "trial.stderr" for trial in trials if trial.status == "FAILED" and trial.folder)
    log = next((log for log in logs if log.is_file()), None)
    return f"no trial has finished with a result ({states}); {f'see {log}' if log else 'wait until one has'}"
