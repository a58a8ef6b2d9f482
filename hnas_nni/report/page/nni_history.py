"""A search that NNI ran or runs, read from the experiment's folder."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.experiments import ExperimentError, TrialRecord, _query, rank, read_trials
from hnas_nni.genotype import POSITION_LABEL
from hnas_nni.parameters import COST_SCALE, LAMBDA
from hnas_nni.report.page.history import Architecture, PolicyHistory, SearchHistory, Step
from hnas_nni.report.page.versions import installed_versions
from hnas_nni.reward import JointReward
from hnas_nni.trial import TrialSettings

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
        The experiment's folder, as :func:`hnas_nni.experiments.find_experiment` returns it.

    Raises
    ------
    ExperimentError
        If it can't be read, or is no HNAS search.
    """
    trials = read_trials(experiment)
    profile = _Profile(experiment)
    config = profile.config
    settings = _trial_settings(config.get("trialCommand", ""))
    rewards = _reward_settings(config, settings)
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
        data=_data(settings),
        scale=settings.get("scale"),
        channels=settings.get("channels"),
        layers=settings.get("layers") or _layers(config),
        reward_weight=rewards.get(LAMBDA),
        cost_scale=rewards.get(COST_SCALE),
        steps=_steps(trials, ranking),
        policy=_policy(experiment / POLICY_HISTORY),
        ranking=ranking,
        settings={**rewards, **settings, **_tuner_settings(config)},
        configuration=_configuration(config),
        command="nnictl create --config config.yml",
        versions=installed_versions(),
        versions_of="this report",
    )


class _Profile:
    """The experiment's configuration and clock, as the manager last wrote them."""

    def __init__(self, experiment: Path) -> None:
        self.folder = experiment
        (rows,) = _query(
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


def _trial_settings(command: str) -> dict[str, Any]:
    """Return the settings of our own trial from its command line; nothing for another trial."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that only the user's shell understands
        return {}
    if "hnas_nni.trial" not in words:
        return {}
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    found: dict[str, Any] = {}
    for name, default in asdict(TrialSettings()).items():
        places = [index for index, word in enumerate(words[:-1]) if word == "--" + name.replace("_", "-")]
        found[name] = _typed(words[places[-1] + 1], type(default)) if places else default
    found["sharing"] = "--no-sharing" not in words
    for name in (LAMBDA, COST_SCALE):
        option = "--" + name.replace("_", "-")
        if option in words[:-1]:
            found[name] = _typed(words[words.index(option) + 1], float)
    return {name: value for name, value in found.items() if value is not None}


def _typed(word: str, kind: type) -> Any:
    """Return an option's value; None if it is one that the trial's shell put in, e.g. ``$STEPS``."""
    try:
        return kind(word)
    except ValueError:
        return None


def _reward_settings(config: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Return lambda and the cost's scale: the tuner's, the trial command's, or the trial's defaults."""
    arguments = _tuner(config).get("classArgs") or {}
    defaults = {LAMBDA: JointReward.weight, COST_SCALE: JointReward.cost_scale} if settings else {}
    given = {name: settings.pop(name) for name in (LAMBDA, COST_SCALE) if name in settings}
    return {**defaults, **given, **{name: arguments[name] for name in (LAMBDA, COST_SCALE) if name in arguments}}


def _tuner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("tuner") or {}


def _tuner_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    tuner = _tuner(config)
    arguments = tuner.get("classArgs") or {}
    named = {f"tuner: {key}": value for key, value in arguments.items() if key not in (LAMBDA, COST_SCALE)}
    return {
        "tuner": tuner.get("className") or tuner.get("name") or "unknown",
        **named,
        "trials at a time": config.get("trialConcurrency", "unknown"),
    }


def _layers(config: Mapping[str, Any]) -> int | None:
    positions = (config.get("searchSpace") or {}).get(POSITION_LABEL, {}).get("_value")
    return max(positions) if positions else None


def _data(settings: Mapping[str, Any]) -> str:
    data = settings.get("data")
    if data is None:
        return "unknown (not the trial of hnas-nni)"
    return "the photographs that come along (photos)" if data == "photos" else str(data)


def _ranking(trials: Sequence[TrialRecord]) -> tuple[Architecture, ...]:
    if not any(trial.finished for trial in trials):
        return ()
    steps = {id(trial): number for number, trial in enumerate(trials, start=1)}
    return tuple(
        Architecture(
            name=f"trial {entry.trial.number} ({entry.trial.id})",
            genotype=entry.genotype,
            reward=float(entry.trial.reward or 0.0),
            psnr=entry.trial.psnr,
            gmacs=entry.trial.gmacs,
            params=entry.trial.params,
            step=steps[id(entry.trial)],
            evaluated=entry.trials,
        )
        for entry in rank(trials)
    )


def _steps(trials: Sequence[TrialRecord], ranking: Sequence[Architecture]) -> tuple[Step, ...]:
    places = {entry.genotype: place for place, entry in enumerate(ranking)}
    return tuple(
        Step(
            number,
            f"trial {trial.number} ({trial.id})",
            trial.reward,
            trial.psnr,
            trial.gmacs,
            rank=places[trial.genotype],
        )
        for number, trial in enumerate(trials, start=1)
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


def _configuration(config: Mapping[str, Any]) -> str:
    """Return the experiment's configuration as YAML for nnictl; the search space by its file if it has one."""
    import yaml  # type: ignore[import-untyped]

    keys = (
        "experimentName",
        "searchSpaceFile",
        "trialCommand",
        "trialCodeDirectory",
        "trialConcurrency",
        "maxTrialNumber",
        "maxExperimentDuration",
        "tuner",
    )
    shown = {key: config[key] for key in keys if config.get(key) is not None}
    if "searchSpaceFile" not in shown:
        shown["searchSpace"] = config.get("searchSpace")
    shown["trainingService"] = {"platform": (config.get("trainingService") or {}).get("platform", "local")}
    return yaml.safe_dump(shown, sort_keys=False, width=100, allow_unicode=True)


def _moment(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)
