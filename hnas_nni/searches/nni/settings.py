"""What decides an NNI experiment's outcome, read from its configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from hnas_nni.architecture.spaces import DEPTH_LABEL, POSITION_LABEL, WIDTH_LABEL
from hnas_nni.searches.places import portable, portable_command
from hnas_nni.searches.record import Trial
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.settings import EMBEDDED
from hnas_nni.trial.parameters import COST_SCALE, LAMBDA
from hnas_nni.trial.reward import JointReward
from hnas_nni.trial.settings import TrialSettings

_DEFAULTS = [("experimentType", "hpo"), ("useAnnotation", False), ("debug", False), ("logLevel", "info")]


def trial_settings(command: str) -> dict[str, Any]:
    """Return the settings of our own trial from its command line; nothing for another trial."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that only the user's shell understands
        return {}
    if "hnas_nni.trial" not in words:
        return {}
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    found: dict[str, Any] = {"sharing": "--no-sharing" not in words}
    for settings, defaults in ((TrialSettings, True), (JointReward, False)):
        for name, (setting, default) in settings.stated().items():
            places = [place for place, word in enumerate(words[:-1]) if word == setting.flag(name)]
            if places or defaults:
                value = _typed(words[places[-1] + 1], setting.kind) if places else default
                found[setting.option or name] = value
    return {name: value for name, value in found.items() if value is not None}


def search_settings(trials: Iterable[Trial]) -> dict[str, Any]:
    """Return the settings that trials which are whole searches have in common; nothing for other trials."""
    found = [SearchFolder(trial.search).settings for trial in trials if trial.search]
    if not found:
        return {}
    same = {name: value for name, value in found[0].items() if all(other.get(name) == value for other in found)}
    if "reward_lambda" in same:
        same[LAMBDA] = same.pop("reward_lambda")
    return same


def reward_settings(config: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Return lambda and the cost's scale: the tuner's, the trial command's, or the trial's defaults."""
    arguments = _tuner(config).get("classArgs") or {}
    if LAMBDA not in arguments and any(name in arguments for name in ("budget", "budget_params", "budget_ms")):
        arguments = {**arguments, LAMBDA: 1.0}  # our tuner then rewards PSNR alone
    # Trials that are whole searches tell their settings themselves; what they do not share has no one value.
    ours = settings and "epochs" not in settings
    defaults = {LAMBDA: JointReward.weight, COST_SCALE: JointReward.cost_scale} if ours else {}
    given = {name: settings.pop(name) for name in (LAMBDA, COST_SCALE) if name in settings}
    return {**defaults, **given, **{name: arguments[name] for name in (LAMBDA, COST_SCALE) if name in arguments}}


def tuner_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tuner's name and arguments, but for those of the reward."""
    tuner = _tuner(config)
    arguments = tuner.get("classArgs") or {}
    named = {f"tuner: {key}": value for key, value in arguments.items() if key not in (LAMBDA, COST_SCALE)}
    return {
        "tuner": tuner.get("className") or tuner.get("name") or "unknown",
        **named,
        "trials at a time": config.get("trialConcurrency", "unknown"),
    }


def sizes_of(config: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, int | None]:
    """Return C and L of all networks; None where they are searched or not known.

    L is the last position if the trial does not say it. What is searched is taken off the settings.
    """
    space = config.get("searchSpace") or {}
    for name, label in (("channels", WIDTH_LABEL), ("layers", DEPTH_LABEL)):
        if label in space:
            settings.pop(name, None)
    positions = space.get(POSITION_LABEL, {}).get("_value")
    last = max(positions) if positions and DEPTH_LABEL not in space else None
    return {"channels": settings.get("channels"), "layers": settings.get("layers") or last}


def planned_trials(config: Mapping[str, Any], started: int) -> int | None:
    """Return how many trials there are to be, at least those that were started; None if that is not known.

    A tuner with rungs ends the experiment itself, before as many as the configuration allows.
    """
    most = config.get("maxTrialNumber")
    rungs = (_tuner(config).get("classArgs") or {}).get("rungs")
    if not isinstance(rungs, list):
        return most
    total = sum(trials for trials, _ in rungs)
    return min(max(total, started), most or total)


def data_of(settings: Mapping[str, Any]) -> str:
    """Return in words what the trials of some settings learn and measure on."""
    data = settings.get("data")
    if data is None:
        return "unknown (not the trial of hnas-nni)"
    if data in (EMBEDDED, [EMBEDDED]):
        return f"the photographs that come along ({EMBEDDED})"
    return ", ".join(map(str, portable(data))) if isinstance(data, list) else str(portable(data))


def configuration_text(config: Mapping[str, Any]) -> str:
    """Return the experiment's configuration as YAML for nnictl, which works on other machines too.

    It is all of it, but for what NNI itself puts in: it writes out its defaults, and copies settings of the trials into
    the training service. The search space is in it, and paths are cut to their ends; the code of trials and tuner is
    looked for where the configuration lies.
    """
    import yaml  # type: ignore[import-untyped]

    shown = {key: value for key, value in config.items() if value is not None and (key, value) not in _DEFAULTS}
    for name in ("searchSpaceFile", "trialCodeDirectory", "experimentWorkingDirectory"):
        shown.pop(name, None)
    shown = {key: portable_command(value) if key == "trialCommand" else portable(value) for key, value in shown.items()}
    for name in ("tuner", "assessor", "advisor"):
        if isinstance(shown.get(name), dict) and "codeDirectory" in shown[name]:
            shown[name]["codeDirectory"] = "."
    service = config.get("trainingService", {"platform": "local"})
    several = isinstance(service, list)
    own = [
        {key: value for key, value in entry.items() if value is not None and value != config.get(key)}
        for entry in (service if several else [service])
    ]
    shown["trainingService"] = portable(own if several else own[0])
    return yaml.safe_dump(shown, sort_keys=False, width=100, allow_unicode=True)


def _tuner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("tuner") or {}


def _typed(word: str, kind: type) -> Any:
    """Return an option's value; None if it is one that the trial's shell put in, e.g. ``$STEPS``."""
    try:
        return kind(word)
    except ValueError:
        return None
