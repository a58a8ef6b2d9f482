"""Successive halving: most trials are short, the best go on for longer (Jamieson & Talwalkar, 2016, arXiv 1502.07943).

The rungs are climbed without waiting (Li et al., "ASHA", 2020, arXiv 1810.05934): as soon as all trials of a rung are
started, the best of those that have ended go on, while others of it may still run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from hnas_nni.settings import Setting

_POSITIVE = Setting(int, "of a rung", least=1)


class Rung(NamedTuple):
    """A stage of the search: how many trials it has, and for how many steps each trains on."""

    trials: int
    steps: int


class Promotion(NamedTuple):
    """What to try next: stage, counted from 1, the steps to train on, and which architecture, None for a new one."""

    stage: int
    steps: int
    architecture: str | None


@dataclass
class _Entry:
    """A trial of a stage: its reward, None while it runs."""

    reward: float | None = None


class SuccessiveHalving:
    """Decides which architecture trains on, and for how long.

    Architectures are known by text keys of the caller's.

    Parameters
    ----------
    rungs
        From the short trials to the trainings to the end.
    floor
        Architectures that a search must not end below, whatever short trials say of them: the best of these has a place
        in every rung of more than one trial.
    """

    def __init__(self, rungs: Sequence[Rung], floor: Collection[str] = ()) -> None:
        self.rungs = tuple(rungs)
        self.floor = frozenset(floor)
        self._entries: list[dict[str, _Entry]] = [{} for _ in self.rungs]
        self._failed: set[str] = set()
        self._lost: set[tuple[int, str]] = set()
        self._exhausted = False

    @property
    def trials(self) -> int:
        """How many trials there are in all, if none fails."""
        return sum(rung.trials for rung in self.rungs)

    @property
    def finished(self) -> int:
        """How many trials have a result."""
        return sum(entry.reward is not None for entries in self._entries for entry in entries.values())

    @property
    def running(self) -> list[tuple[int, str]]:
        """Stage and architecture of each trial that was started and has not ended."""
        return [
            (stage, name)
            for stage, entries in enumerate(self._entries, start=1)
            for name, entry in entries.items()
            if entry.reward is None
        ]

    @property
    def done(self) -> bool:
        """Whether every trial has ended and no other is to follow."""
        return not self.running and self.next() is None

    def next(self) -> Promotion | None:
        """Return what to try next; None when all is started.

        Where too few of a rung have ended for another to go on, a new architecture is tried meanwhile, and where nobody
        is left because too many failed.
        """
        new = None if self._exhausted else Promotion(1, self.rungs[0].steps, None)
        for index, rung in enumerate(self.rungs):
            if len(self._entries[index]) >= rung.trials:
                continue
            if index == 0:
                if new is not None:
                    return new
                continue
            best = self._best_left(index - 1)
            if best is not None:
                return Promotion(index + 1, rung.steps, best)
            if self.running or 0 < len(self._failed) < self.trials:
                return new
        return None

    def exhaust(self) -> None:
        """Note that there is no architecture left to try: rungs may stay shorter than they were to be."""
        self._exhausted = True

    def start(self, stage: int, architecture: str) -> None:
        """Note that an architecture is being tried."""
        self._entries[stage - 1].setdefault(architecture, _Entry())

    def finish(self, stage: int, architecture: str, reward: float) -> None:
        """Note a result; of a stage beyond the last rung, as another search may have, nothing is noted."""
        if stage <= len(self.rungs):
            self._entries[stage - 1].setdefault(architecture, _Entry()).reward = reward

    def stop(self, stage: int, architecture: str, reward: float) -> None:
        """Note that a trial was stopped early: it keeps its place in the rung, but left no weights to go on from."""
        self.finish(stage, architecture, reward)
        self._failed.add(architecture)

    def knows(self, stage: int, architecture: str) -> bool:
        """Whether an architecture was started in a stage."""
        return stage <= len(self.rungs) and architecture in self._entries[stage - 1]

    def fail(self, stage: int, architecture: str) -> None:
        """Note that a trial gave no result: another takes its place, and it does not go on."""
        self._entries[stage - 1].pop(architecture, None)
        if stage > 1:
            self._failed.add(architecture)

    def lose(self, stage: int, architecture: str) -> None:
        """Note that a trial was lost with its machine or in a kill: it is tried once more, then it counts as failed."""
        if (stage, architecture) in self._lost:
            self.fail(stage, architecture)
        else:
            self._lost.add((stage, architecture))
            self._entries[stage - 1].pop(architecture, None)

    def lose_running(self) -> None:
        """Note that all trials were lost that have not ended."""
        for stage, architecture in self.running:
            self.lose(stage, architecture)

    def state_dict(self) -> dict[str, Any]:
        """Return the rungs, the rewards of each stage by architecture, None where one runs, and what can't go on."""
        return {
            "rungs": [list(rung) for rung in self.rungs],
            "rewards": [{name: entry.reward for name, entry in entries.items()} for entries in self._entries],
            "failed": sorted(self._failed),
            "lost": [list(trial) for trial in sorted(self._lost)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises
        ------
        ValueError
            If the state is of other rungs.
        """
        rungs = [list(rung) for rung in self.rungs]
        if state["rungs"] != rungs:
            raise ValueError(f"state: was saved with rungs {state['rungs']}, not {rungs}; give the same again")
        self._entries = [{name: _Entry(reward) for name, reward in rewards.items()} for rewards in state["rewards"]]
        self._failed = set(state["failed"])
        self._lost = {(stage, name) for stage, name in state.get("lost", ())}

    def _best_left(self, index: int) -> str | None:
        """Return the best of a rung that has not gone on; the last place above is the floor's, if it has none yet."""
        above = self._entries[index + 1]
        left = {
            name: entry.reward
            for name, entry in self._entries[index].items()
            if entry.reward is not None and name not in above and name not in self._failed
        }
        last_place = len(above) == self.rungs[index + 1].trials - 1
        if last_place and above and self.floor.isdisjoint(above) and not self.floor.isdisjoint(left):
            left = {name: reward for name, reward in left.items() if name in self.floor}
        return max(left, key=lambda name: left[name]) if left else None


def read_rungs(name: str, value: Any) -> tuple[Rung, ...]:
    """Return the rungs that a user gave as ``[[trials, steps], ...]``.

    Raises
    ------
    ValueError
        If they are not of that form, or a later rung has more trials than the one before it.
    """
    wanted = "give [[trials, steps], ...], fewer trials from rung to rung, e.g. [[48, 500], [8, 2000], [2, 8000]]"
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"{name}: {value!r} is not valid; {wanted}")
    rungs = []
    for rung in value:
        if not isinstance(rung, (list, tuple)) or len(rung) != 2:
            raise ValueError(f"{name}: {rung!r} is not valid; {wanted}")
        for number in rung:
            _POSITIVE.check(name, number)
        rungs.append(Rung(*rung))
    if any(later.trials > earlier.trials for earlier, later in pairwise(rungs)):
        raise ValueError(f"{name}: {value!r} is not valid; {wanted}")
    return tuple(rungs)


def check_rungs(name: str, value: Any) -> None:
    """Raise ValueError unless a value is None or as :func:`read_rungs` takes it."""
    if value is not None:
        read_rungs(name, value)
