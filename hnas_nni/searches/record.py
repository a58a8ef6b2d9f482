"""The record of a measured architecture, and of the trial of NNI that measured it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import name_in_network


@dataclass(frozen=True)
class RemoteFolder:
    """The folder of a trial on another machine.

    Parameters
    ----------
    host
        The machine, as NNI's configuration names it.
    path
        The folder there; it may begin with ``~``.
    environment
        NNI's name of the machine, in which its number in the configuration is.
    """

    host: str
    path: str
    environment: str

    def __str__(self) -> str:
        return f"{self.host}:{self.path}"


@dataclass(frozen=True)
class Trial:
    """The state of one trial of an NNI experiment, whether or not it has measured something.

    Parameters
    ----------
    number
        Counts the trials from 0 ("Trial No." of the web UI). NNI reuses numbers after a resume, but not ids.
    id
        NNI's name of the trial.
    status
        WAITING, RUNNING, SUCCEEDED, FAILED, USER_CANCELED, SYS_CANCELED or EARLY_STOPPED.
    genotype
        The architecture that is evaluated, or None before the trial's first report, as nothing else tells it.
    intermediate
        The intermediate results in the order of the trial's reports: PSNR in dB, or the reward after each epoch of a
        trial that is a whole search.
    start, end
        When the trial started and ended, in UTC; None if it did not.
    folder
        Where the trial ran and left its files, or None if it lies on another machine or was removed.
    search
        The folder of the search that the trial is, if it is a whole one (``hnas search`` as a trial).
    elsewhere
        Where it ran, if that is another machine.
    """

    number: int
    id: str
    status: str
    genotype: Genotype | None = None
    intermediate: tuple[float, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    folder: Path | None = None
    search: Path | None = None
    elsewhere: RemoteFolder | None = None


@dataclass(frozen=True)
class MeasuredArchitecture:
    """What a search measured of an architecture, and where that comes from.

    Parameters
    ----------
    genotype
        The architecture.
    reward
        The joint reward; the higher the better. The final metric of a trial.
    psnr
        PSNR on Y in dB, or None if it was not reported.
    gmacs
        Multiply-adds in 10^9 at a 3x480x480 input, or None.
    params
        Number of parameters, or None.
    reward_weight
        lambda of the reward, or None where the search does not tell.
    trial
        The trial of NNI that measured it, or None.
    epoch
        The epoch of a weight-sharing search, from 1, after which it was measured, or None.
    published
        What the paper calls it, if it is one of the paper's that a search measured beside its own.
    comparator
        What people call it, if it was trained after the search to hold the winner against it.
    rank
        Its place in the search's ranking, from 1, or None.
    pareto
        Whether nothing in the ranking is both better and cheaper; None where the search does not tell.
    stage, steps
        Of a search by successive halving the stage, from 1, and the training steps until then; or None. An architecture
        that was above the budget has 0 steps.
    evaluated
        How many times the search evaluated the architecture; this is the best or the last of the results.
    """

    genotype: Genotype
    reward: float
    psnr: float | None = None
    gmacs: float | None = None
    params: int | None = None
    reward_weight: float | None = None
    trial: Trial | None = None
    epoch: int | None = None
    published: str | None = None
    comparator: str | None = None
    rank: int | None = None
    pareto: bool | None = None
    stage: int | None = None
    steps: int | None = None
    evaluated: int = 1

    @property
    def name(self) -> str:
        """What the search calls the measurement, e.g. ``"trial 12 (QKmO9)"``."""
        if self.comparator is not None:
            return self.comparator
        if self.published is not None:
            return name_in_network(self.published, self.genotype)
        if self.trial is None:
            return f"architecture of epoch {self.epoch}" if self.rank is None else f"architecture {self.rank}"
        # Rewards of whole searches can only be compared at the same lambda, so it is said.
        weight = "" if self.trial.search is None else f", \u03bb = {self.reward_weight:g}"
        return f"trial {self.trial.number} ({self.trial.id}){weight}"

    @property
    def step(self) -> int | None:
        """Number of the trial or epoch that measured it; None of what was measured at the end of a search."""
        return self.epoch if self.trial is None else self.trial.number

    def to_dict(self) -> dict[str, object]:
        """Return what a ranking tells of it as a JSON document."""
        origin: dict[str, object] = {"pareto": self.pareto}
        if self.trial is not None:
            origin = {"stage": self.stage} if self.stage is not None else {}
            origin |= {"trial": self.trial.number, "trial_id": self.trial.id, "evaluated": self.evaluated}
        return {
            "rank": self.rank,
            "lambda": self.reward_weight,
            "reward": self.reward,
            "psnr": self.psnr,
            "gmacs": self.gmacs,
            "params": self.params,
            "position": self.genotype.position,
            **{name: size for name, size in (("depth", self.genotype.depth), ("width", self.genotype.width)) if size},
            **origin,
            "genotype": self.genotype.to_dict(),
        }


def best_first(architectures: Iterable[MeasuredArchitecture], rank_by: str) -> list[MeasuredArchitecture]:
    """Return architectures as a weight-sharing search ranks them, of equals the cheaper first.

    Parameters
    ----------
    architectures
        With PSNR and multiply-adds.
    rank_by
        "reward" or "psnr".
    """
    return sorted(architectures, key=lambda entry: (-getattr(entry, rank_by), entry.gmacs))


_AT_WORK = ("WAITING", "RUNNING", "UNKNOWN")


def count_states(trials: Iterable[Trial], running: bool) -> Counter[str]:
    """Return how many trials are in which state.

    Parameters
    ----------
    trials
        As NNI has noted them; a manager that was killed leaves trials as running.
    running
        Whether the experiment is; if not, trials that had not ended are STOPPED.
    """
    return Counter("STOPPED" if trial.status in _AT_WORK and not running else trial.status for trial in trials)


def states_in_words(trials: Iterable[Trial], running: bool) -> str:
    """Return how many trials are in which state, the most first, e.g. ``"58 succeeded, 2 failed"``."""
    states = count_states(trials, running).most_common()
    return ", ".join(f"{number} {state.lower().replace('_', ' ')}" for state, number in states)
