"""A search that NNI ran or runs, read from the experiment's folder."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hnas_nni.architecture.spaces import POSITION_LABEL
from hnas_nni.foreign_text import parse_json, read_text
from hnas_nni.output_folder import installed_versions
from hnas_nni.searches.history import PolicyHistory, SearchHistory, Step
from hnas_nni.searches.nni.database import ExperimentError, moment, query
from hnas_nni.searches.nni.manager_log import why_it_ended
from hnas_nni.searches.nni.settings import (
    configuration_text,
    data_of,
    planned_trials,
    reward_settings,
    search_settings,
    sizes_of,
    trial_settings,
    tuner_settings,
)
from hnas_nni.searches.record import MeasuredArchitecture, Trial, states_in_words
from hnas_nni.trial.parameters import COST_SCALE, LAMBDA

POLICY_HISTORY = Path("checkpoint") / "policy.jsonl"
"""What the hierarchical tuner writes after each result, in the experiment's folder."""

_LEVELS = {"normal": "entropy/normal", "upsampling": "entropy/upsampling", "position": "entropy/network"}
_SILENCE = 60.0
"""A manager at work writes to its database every ten seconds; after a minute without, it is taken for gone."""


def read_nni_history(
    experiment: Path,
    trials: Sequence[Trial],
    finished: Sequence[MeasuredArchitecture],
    ranking: Sequence[MeasuredArchitecture],
) -> SearchHistory:
    """Return the history of an NNI experiment, finished or not.

    Parameters
    ----------
    experiment
        The experiment's folder.
    trials, finished, ranking
        Its trials in the order in which they started, the results of those that are finished, and the ranking.

    Raises
    ------
    ExperimentError
        If its database or its policy's history can't be read.
    """
    profile = _Profile(experiment)
    config = profile.config
    settings = trial_settings(config.get("trialCommand", "")) or search_settings(trials)
    rewards = reward_settings(config, settings)
    sizes = sizes_of(config, settings)
    ended = [trial for trial in trials if trial.status not in ("WAITING", "RUNNING", "UNKNOWN")]
    planned = planned_trials(config, len(trials))
    state = _state(profile, len(ended), planned)
    error = None if state == "finished" and finished else why_it_ended(experiment, trials)
    if error is not None:
        state = "stopped"  # its manager may be there still, for the web UI
    return SearchHistory(
        name=config.get("experimentName") or f"Experiment {experiment.name}",
        source=experiment.name,
        kind="NNI experiment",
        unit="trial",
        state=state,
        done=len(ended),
        planned=planned,
        progress=states_in_words(trials, state == "running"),
        started=moment(profile.start) or min((trial.start for trial in trials if trial.start), default=None),
        seconds=_seconds(profile, trials),
        data=data_of(settings),
        scale=settings.get("scale"),
        channels=sizes["channels"],
        layers=sizes["layers"],
        reward_weight=rewards.get(LAMBDA),
        cost_scale=rewards.get(COST_SCALE),
        steps=_steps(trials, finished, ranking),
        step_axis=None if _are_numbered(trials) else "trial, in the order in which they started",
        policy=_policy(experiment / POLICY_HISTORY),
        ranking=tuple(ranking),
        settings={**rewards, **settings, **tuner_settings(config)},
        configuration=configuration_text(config),
        command="nnictl create --config config.yml",
        versions=installed_versions(),
        versions_of="this report",
        ended_with=None if error is None else "; ".join(error),
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
            self.config: dict[str, Any] = dict(parse_json(params))
        except (TypeError, ValueError) as error:
            raise ExperimentError(f"{experiment}: its configuration in the database is damaged") from error

    def is_silent(self) -> bool:
        """Whether the manager has written nothing for a while."""
        files = (self.folder / "db").glob("nni.sqlite*")
        return time.time() - max(file.stat().st_mtime for file in files) > _SILENCE


def is_running(experiment: Path) -> bool:
    """Whether an experiment's manager is at work; False where that can't be read."""
    try:
        profile = _Profile(experiment)
        return not profile.end and not profile.is_silent()
    except (ExperimentError, OSError, ValueError):
        return False


def _state(profile: _Profile, ended: int, planned: int | None) -> str:
    if planned is not None and ended >= planned:
        return "finished"
    return "stopped" if profile.end or profile.is_silent() else "running"


def _seconds(profile: _Profile, trials: Sequence[Trial]) -> float | None:
    """Return the time the search was at work: NNI's own clock, which stands still between stop and resume."""
    if profile.duration:
        return float(profile.duration)
    starts = [trial.start for trial in trials if trial.start]
    ends = [trial.end for trial in trials if trial.end]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else None


def _are_numbered(trials: Sequence[Trial]) -> bool:
    """Whether each trial has a number of its own; a resumed experiment may give numbers again."""
    return len({trial.number for trial in trials}) == len(trials)


def _steps(
    trials: Sequence[Trial], finished: Sequence[MeasuredArchitecture], ranking: Sequence[MeasuredArchitecture]
) -> tuple[Step, ...]:
    """Return the finished trials by their numbers, or counted from 0 where numbers were given twice.

    The rewards of what was above the budget would leave no room for the others in a figure.
    """
    places = {entry.genotype: place for place, entry in enumerate(ranking)}
    counts = {trial.id: trial.number if _are_numbered(trials) else count for count, trial in enumerate(trials)}
    steps = [
        Step(
            counts[entry.trial.id],
            entry.name,
            None if entry.steps == 0 else entry.reward,
            entry.psnr,
            entry.gmacs,
            rank=places[entry.genotype],
        )
        for entry in finished
        if entry.trial is not None
    ]
    return tuple(sorted(steps, key=lambda step: step.number))


def _policy(file: Path) -> PolicyHistory:
    """Read the tuner's history; a last line that is still being written is left out."""
    if not file.is_file():
        return PolicyHistory()
    lines = []
    text = read_text(file)
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            record = parse_json(line)
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
