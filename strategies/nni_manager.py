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
from urllib.parse import urlsplit

from nni.runtime.env_vars import dispatcher_env_vars

_logger = logging.getLogger("nni.hnas")
_TIMEOUT = 10.0
_NO_FILE = ("stderr is empty", "NNI internal error")
"""What the manager answers in place of a file."""
_UNDER_WAY = ("WAITING", "RUNNING", "UNKNOWN", "ADD_RESUMED")
"""The last is the state of a trial of an earlier session until it runs again, on other machines after some seconds."""
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


def address_for_machines() -> tuple[str, int] | None:
    """Return the manager's address as other machines see it, and the port after that of its web server.

    NNI keeps that port free for what it needs beside the web server; its remote training service needs nothing.

    Returns
    -------
    host, port
        None where trials run on this machine, or there is no manager.
    """
    params = (_ask("experiment") or {}).get("params", {})
    service = params.get("trainingService")
    if not isinstance(service, dict) or service.get("platform") != "remote":
        return None
    from nni.experiment.config.utils import get_ipv4_address

    host = service.get("nniManagerIp") or params.get("nniManagerIp") or get_ipv4_address()
    channel = urlsplit(os.environ["NNI_TUNER_COMMAND_CHANNEL"])
    return str(host), int(channel.port or 80) + 1


def lost_with_its_machine(parameter_id: int) -> bool:
    """Return whether the trial with some parameters ended because NNI could not reach its machine any more.

    NNI calls such a trial canceled by the user.
    """
    return any(
        job["status"] == "USER_CANCELED" and str(job.get("envId", "")).startswith("remote")
        for job in _ask("trial-jobs") or ()
        if any(json.loads(text).get("parameter_id") == parameter_id for text in job.get("hyperParameters", ()))
    )


def last_error_output() -> str:
    """Return what the latest failed trial wrote to stderr, of one on another machine too; empty if it is not known.

    NNI then keeps a copy in the experiment's folder.
    """
    failed = [job for job in _ask("trial-jobs") or () if job["status"] == "FAILED"]
    if not failed:
        return ""
    latest = max(failed, key=lambda job: job.get("endTime", 0))
    text = _text(f"trial-file/{latest['trialJobId']}/stderr") or ""
    return "" if text.startswith(_NO_FILE) else text


def _ask(path: str, change: Any = None) -> Any:
    """Return what the manager answers, read as JSON; None if it doesn't."""
    text = _text(path, change)
    try:
        return json.loads(text) if text and text.strip() else None
    except ValueError as error:
        _logger.warning("NNI's manager answers at %s what is not JSON (%s)", path, error)
        return None


def _text(path: str, change: Any = None) -> str | None:
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
            return str(response.read().decode(errors="replace"))
    except (OSError, ValueError) as error:
        _logger.warning("NNI's manager does not answer at %s (%s)", url, error)
        return None
