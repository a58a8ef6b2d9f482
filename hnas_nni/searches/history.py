"""What a report tells of a search, whichever way the search ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hnas_nni.searches.record import MeasuredArchitecture


@dataclass(frozen=True)
class Step:
    """What one trial or one epoch of a search yielded.

    Parameters
    ----------
    number
        NNI's number of the trial, or the epoch. NNI counts from 0, epochs count from 1.
    name
        What the search calls it.
    reward, psnr, gmacs
        Of the trial, or means over the epoch; None where unknown. Units as in :class:`MeasuredArchitecture`.
    validation_reward, validation_psnr, validation_psnr_best
        Means and best over architectures drawn from the policy, where the search measures them.
    rank
        Place of the step's architecture in the ranking from 0, or None.
    """

    number: int
    name: str
    reward: float | None = None
    psnr: float | None = None
    gmacs: float | None = None
    validation_reward: float | None = None
    validation_psnr: float | None = None
    validation_psnr_best: float | None = None
    rank: int | None = None


@dataclass(frozen=True)
class PolicyHistory:
    """The controller's policy over time.

    Parameters
    ----------
    steps
        What the policy had learnt from: results or epochs, counted from 1.
    entropies
        By level (``normal``, ``upsampling``, ``position``), the entropy at each step in nats.
    positions
        At each step, the probability of each position 1..L of the upsampling cell.
    """

    steps: tuple[int, ...] = ()
    entropies: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    positions: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class SearchHistory:
    """A search, finished or not, as a report shows it.

    Parameters
    ----------
    name
        Title of the search.
    source
        The experiment's id or the run folder's name.
    kind
        ``"NNI experiment"`` or ``"weight-sharing search"``.
    unit
        What a step is: ``"trial"`` or ``"epoch"``.
    state
        ``"running"``, ``"finished"`` or ``"stopped"``.
    done, planned
        Steps that ended, and how many there are to be; None if unknown.
    progress
        The steps in words, e.g. ``"58 succeeded, 2 failed"``.
    started
        When the search began, in UTC, or None.
    seconds
        How long it has run, or None.
    data
        What it learnt and measured on.
    scale, channels, layers
        Sizes of the networks; None where the search does not tell.
    reward_weight, cost_scale
        lambda and the cost of 10^9 multiply-adds in dB; None where the search does not tell.
    steps
        What each trial or epoch yielded, in time.
    step_axis
        What the steps' numbers are; the unit if None.
    policy
        The controller's policy over time.
    ranking
        Architectures from the best, each once: by reward, or what else the search ranks by.
    provisional
        Whether this is a ranking of what was measured so far, and the search will make its own at the end.
    measured
        Architectures beside those of the ranking that were measured on the way, each once.
    published
        The paper's cells, measured as the ranking was.
    comparators
        What was trained as the winner was, after the search, to hold it against.
    settings
        Everything that decides the outcome, by name.
    configuration
        A file or command that repeats the search, as text to copy.
    command
        How to start it, in one line.
    versions
        Versions of the software by name.
    versions_of
        When these versions were taken.
    ended_with
        The error that ended it before its time, and what to do; None if there was none.
    """

    name: str
    source: str
    kind: str
    unit: str
    state: str
    done: int
    planned: int | None = None
    progress: str = ""
    started: datetime | None = None
    seconds: float | None = None
    data: str = "unknown"
    scale: int | None = None
    channels: int | None = None
    layers: int | None = None
    reward_weight: float | None = None
    cost_scale: float | None = None
    steps: tuple[Step, ...] = ()
    step_axis: str | None = None
    policy: PolicyHistory = field(default_factory=PolicyHistory)
    ranking: tuple[MeasuredArchitecture, ...] = ()
    provisional: bool = False
    measured: tuple[MeasuredArchitecture, ...] = ()
    published: tuple[MeasuredArchitecture, ...] = ()
    comparators: tuple[MeasuredArchitecture, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    configuration: str = ""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    versions_of: str = "the search"
    ended_with: str | None = None

    @property
    def winner(self) -> MeasuredArchitecture | None:
        """The architecture that comes first in the ranking, if there is one."""
        return self.ranking[0] if self.ranking else None

    @property
    def architectures(self) -> tuple[MeasuredArchitecture, ...]:
        """All architectures, the ranking first; figures, table and page name them by their place in here."""
        return (*self.ranking, *self.measured, *self.published, *self.comparators)

    @property
    def reward_weights(self) -> list[float]:
        """The values of lambda in the ranking; rewards of different ones can't be compared."""
        return sorted({entry.reward_weight for entry in self.ranking if entry.reward_weight is not None})

    @property
    def is_family(self) -> bool:
        """Whether the architectures were found for different values of lambda."""
        return len(self.reward_weights) > 1
