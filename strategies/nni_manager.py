"""What a tuner asks of NNI's manager beside its own commands, over REST.

NNI 3.0 never ends an experiment because its tuner has no more trials: it stays in status TUNER_NO_MORE_TRIAL, and
``nnictl create --foreground`` waits for ever. An experiment ends once as many trials have ended as it may have.
"""

from __future__ import annotations

import json
import logging
import os
import urllib.request
from typing import Any

from nni.runtime.env_vars import dispatcher_env_vars

_logger = logging.getLogger("nni.hnas")
_TIMEOUT = 10.0
_UNDER_WAY = ("WAITING", "RUNNING", "UNKNOWN")


def running_trials() -> int | None:
    """Return how many trials are waiting or running; None if there is no manager to ask."""
    jobs = _ask("trial-jobs")
    return None if jobs is None else sum(job["status"] in _UNDER_WAY for job in jobs)


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
