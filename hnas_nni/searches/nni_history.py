"""A search that NNI ran or runs, read from the experiment's folder."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import POSITION_LABEL
from hnas_nni.output_folder import installed_versions
from hnas_nni.searches import ExperimentError, TrialRecord, query, rank, read_trials
from hnas_nni.searches.history import Architecture, PolicyHistory, SearchHistory, Step
from hnas_nni.searches.nni_settings import (
    configuration_text,
    data_of,
    layers_of,
    reward_settings,
    search_settings,
    trial_settings,
    tuner_settings,
)
from hnas_nni.trial.parameters import COST_SCALE, LAMBDA

POLICY_HISTORY = Path("checkpoint") / "policy.jsonl"
"""What the hierarchical tuner writes after each result, in the experiment's folder."""

_LEVELS = {"normal": "entropy/normal", "upsampling": "entropy/upsampling", "position": "entropy/network"}
_SILENCE = 60.0
"""A manager at work writes to its database every ten seconds; after a minute without, it is taken for gone."""


def read_nni_history(experiment: Path) -> SearchHistory:
    """Read an NNI experiment, finished or not.

    Parameters
    ----------
    experiment
        The experiment's folder, as :func:`hnas_nni.searches.find_experiment` returns it.

    Raises
    ------
    ExperimentError
        If it can't be read, or is no HNAS search.
    """
    trials = read_trials(experiment)
    profile = _Profile(experiment)
    config = profile.config
    settings = trial_settings(config.get("trialCommand", "")) or search_settings(trials)
    rewards = reward_settings(config, settings)
    ranking = _ranking(trials)
    ended = [trial for trial in trials if trial.status not in ("WAITING", "RUNNING", "UNKNOWN")]
    planned = config.get("maxTrialNumber")
    return SearchHistory(
        name=config.get("experimentName") or f"Experiment {experiment.name}",
        source=experiment.name,
        kind="NNI experiment",
        unit="trial",
        state=_state(profile, len(ended), planned),
        done=len(ended),
        planned=planned,
        progress=_progress(trials),
        started=_moment(profile.start) or min((trial.start for trial in trials if trial.start), default=None),
        seconds=_seconds(profile, trials),
        data=data_of(settings),
        scale=settings.get("scale"),
        channels=settings.get("channels"),
        layers=settings.get("layers") or layers_of(config),
        reward_weight=rewards.get(LAMBDA),
        cost_scale=rewards.get(COST_SCALE),
        steps=_steps(trials, ranking),
        step_axis=None if _are_numbered(trials) else "trial, in the order in which they started",
        policy=_policy(experiment / POLICY_HISTORY),
        ranking=ranking,
        settings={**rewards, **settings, **tuner_settings(config)},
        configuration=configuration_text(config),
        command="nnictl create --config config.yml",
        versions=installed_versions(),
        versions_of="this report",
    )


class _Profile:
    """The experiment's configuration and clock, as the manager last wrote them."""

    def __init__(self, experiment: Path) -> None:
        self.folder = experiment
        (rows,) = query(
            experiment, "SELECT params, execDuration, startTime, endTime FROM ExperimentProfile ORDER BY rowid"
        )
        if not rows:
            raise ExperimentError(f"experiment {experiment.name}: has not started yet; wait until its first trial runs")
        params, self.duration, self.start, self.end = rows[-1]
        try:
            self.config: dict[str, Any] = json.loads(params)
        except (TypeError, ValueError) as error:
            raise ExperimentError(f"{experiment}: its configuration in the database is damaged") from error

    def is_silent(self) -> bool:
        """Whether the manager has written nothing for a while."""
        files = (self.folder / "db").glob("nni.sqlite*")
        return time.time() - max(file.stat().st_mtime for file in files) > _SILENCE


def _state(profile: _Profile, ended: int, planned: int | None) -> str:
    if planned is not None and ended >= planned:
        return "finished"
    return "stopped" if profile.end or profile.is_silent() else "running"


def _seconds(profile: _Profile, trials: Sequence[TrialRecord]) -> float | None:
    """Return the time the search was at work: NNI's own clock, which stands still between stop and resume."""
    if profile.duration:
        return float(profile.duration)
    starts = [trial.start for trial in trials if trial.start]
    ends = [trial.end for trial in trials if trial.end]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else None


def _progress(trials: Sequence[TrialRecord]) -> str:
    states = Counter(trial.status.lower().replace("_", " ") for trial in trials)
    return ", ".join(f"{number} {state}" for state, number in states.most_common())


def _ranking(trials: Sequence[TrialRecord]) -> tuple[Architecture, ...]:
    if not any(trial.finished for trial in trials):
        return ()
    return tuple(
        Architecture(
            name=_name(entry.trial),
            genotype=entry.genotype,
            reward=float(entry.trial.reward or 0.0),
            psnr=entry.trial.psnr,
            gmacs=entry.trial.gmacs,
            params=entry.trial.params,
            step=entry.trial.number,
            evaluated=entry.trials,
            reward_weight=entry.trial.reward_weight,
        )
        for entry in rank(trials)
    )


def _name(trial: TrialRecord) -> str:
    """Name a trial; rewards of whole searches can only be compared at the same lambda, so it is said."""
    weight = f", \u03bb = {trial.reward_weight:g}" if trial.search else ""
    return f"trial {trial.number} ({trial.id}){weight}"


def _are_numbered(trials: Sequence[TrialRecord]) -> bool:
    """Whether each trial has a number of its own; a resumed experiment may give numbers again."""
    return len({trial.number for trial in trials}) == len(trials)


def _steps(trials: Sequence[TrialRecord], ranking: Sequence[Architecture]) -> tuple[Step, ...]:
    """Return the finished trials by their numbers, or counted from 0 where numbers were given twice."""
    places = {entry.genotype: place for place, entry in enumerate(ranking)}
    by_number = _are_numbered(trials)
    numbered = [(trial.number if by_number else count, trial) for count, trial in enumerate(trials)]
    return tuple(
        Step(
            number,
            _name(trial),
            trial.reward,
            trial.psnr,
            trial.gmacs,
            rank=places[trial.genotype],
        )
        for number, trial in sorted(numbered, key=lambda item: item[0])
        if trial.finished and trial.genotype is not None
    )


def _policy(file: Path) -> PolicyHistory:
    """Read the tuner's history; a last line that is still being written is left out."""
    if not file.is_file():
        return PolicyHistory()
    lines = []
    text = file.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
            entropies = [float(record[key]) for key in _LEVELS.values()]
            positions = tuple(float(value) for value in record["probabilities"][POSITION_LABEL])
            step = int(record["result"])
        except (ValueError, KeyError, TypeError) as error:
            raise ExperimentError(
                f"{file}: line {number} is damaged ({error!r}); remove the line, or the file for a report without it"
            ) from error
        if all(map(math.isfinite, [*entropies, *positions])):
            lines.append((step, entropies, positions))
    return PolicyHistory(
        steps=tuple(step for step, _, _ in lines),
        entropies={level: tuple(values[i] for _, values, _ in lines) for i, level in enumerate(_LEVELS)},
        positions=tuple(positions for _, _, positions in lines),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)
