"""What a tuner asks of NNI's manager beside its own commands, over REST.

NNI 3.0 never ends an experiment because its tuner has no more trials: it stays in status TUNER_NO_MORE_TRIAL, and
``nnictl create --foreground`` waits for ever. An experiment ends once as many trials have ended as it may have.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from nni.runtime.env_vars import dispatcher_env_vars

_logger = logging.getLogger("nni.hnas")
_TIMEOUT = 10.0
_UNDER_WAY = ("WAITING", "RUNNING", "UNKNOWN")
_STOPPED = ("EARLY_STOPPED", "USER_CANCELED")


class StoppedTrial(NamedTuple):
    """A trial that was stopped: by an assessor, because of the longest time of a trial, or by a person in the web UI.

    Parameters
    ----------
    id
        NNI's name of the trial.
    record
        What it ran and its last intermediate result, as "parameter" and "value".
    """

    id: str
    record: dict[str, Any]


def running_trials() -> int | None:
    """Return how many trials are waiting or running; None if there is no manager to ask."""
    jobs = _ask("trial-jobs")
    return None if jobs is None else sum(job["status"] in _UNDER_WAY for job in jobs)


def started_parameters() -> list[Any]:
    """Return the parameters of all trials of this experiment, also of earlier sessions; none without a manager."""
    return list(_parameters(_ask("trial-jobs") or []).values())


def _parameters(jobs: Any) -> dict[str, Any]:
    """Return what trials were given, by the number of the parameters."""
    noted = [json.loads(text) for job in jobs for text in job.get("hyperParameters", ())]
    return {str(note["parameter_id"]): note["parameters"] for note in noted}


def stopped_trials() -> list[StoppedTrial]:
    """Return the trials that were stopped after they had reported something; none if there is no manager to ask.

    What a trial ran is read off its reports, as NNI may have noted it with the parameters of another.
    """
    jobs = _ask("trial-jobs") or []
    parameters = _parameters(jobs)
    found = []
    for job in jobs:
        if job["status"] not in _STOPPED:
            continue
        reports = _ask(f"metric-data/{job['trialJobId']}") or []
        reports = [report for report in reports if report["type"] == "PERIODICAL"]
        if reports:
            last = max(reports, key=lambda report: int(report["sequence"]))
            # NNI keeps metrics as JSON that was dumped as JSON once more.
            value = json.loads(json.loads(last["data"]))
            record = {"parameter": parameters.get(str(last["parameterId"])), "value": value}
            found.append(StoppedTrial(job["trialJobId"], record))
    return found


def restore_search_space(search_space: Mapping[str, Any]) -> None:
    """Let the experiment have the space again that is searched; nothing without a manager."""
    profile = _ask("experiment")
    if profile is not None and profile["params"].get("searchSpace") != search_space:
        profile["params"]["searchSpace"] = search_space
        _ask("experiment?update_type=SEARCH_SPACE", profile)


def end_experiment() -> None:
    """Let the experiment end with the trials that it has; nothing without a manager."""
    jobs, profile = _ask("trial-jobs"), _ask("experiment")
    if jobs and profile is not None:
        profile["params"]["maxTrialNumber"] = len(jobs)
        _ask("experiment?update_type=MAX_TRIAL_NUM", profile)


def _ask(path: str, change: Any = None) -> Any:
    """Return what the manager answers, None if it doesn't."""
    channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL", "")
    if dispatcher_env_vars.SDK_PROCESS != "dispatcher" or not channel.startswith("ws://"):
        return None
    url = "http://" + channel.removeprefix("ws://").removesuffix("/tuner") + f"/api/v1/nni/{path}"
    data = None if change is None else json.dumps(change).encode()
    method = "GET" if change is None else "PUT"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            text = response.read().decode()
        return json.loads(text) if text.strip() else None
    except (OSError, ValueError) as error:
        _logger.warning("NNI's manager does not answer at %s (%s)", url, error)
        return None
