"""What NNI's manager ended with, from its log.

Seen with NNI 3.0: a tuner that is late, and an error of the tuner, are errors of ``NNIManager``. A machine of the
remote training service that can't be used, or a code folder that is too large to be copied, is one of
``TrainingServiceCompat``, which names an address at best. Then the manager ends, after nnictl has reported success.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hnas_nni.foreign_text import read_text
from hnas_nni.searches.nni.machines import Machine, configured_machines
from hnas_nni.searches.record import Trial

_TIME = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ", re.MULTILINE)
"""Of a line of the log, in this machine's time zone."""
_SESSION = "(main) Start NNI manager"
_ERROR = re.compile(r" ERROR \(NNIManager\) (?:Error: )?(.+)")
_SERVICE = re.compile(r" ERROR \(TrainingServiceCompat\) Training srevice initialize failed: (?:Error: )?(.+)")
_COMMAND = re.compile(r" ERROR \(RemoteV3\.Ssh\.(\d+)\) Command failed: (.+?) \{\n(.*?)\n\}", re.DOTALL)
_KEEPER = re.compile(
    r" ERROR \(RemoteV3\.Worker\.(\d+)\) Failed to launch trial keeper daemon: \{\n(.*?)\n\}", re.DOTALL
)
_BEGUN = re.compile(r"\(RemoteV3\.Worker\.(\d+)\) Initializing SSH worker")
_CONNECTED = re.compile(r"\(RemoteV3\.Worker\.(\d+)\) Installing nni")
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")

_REMEDIES = (
    (
        r"did not connect",
        "the machine was too busy: `nnictl stop ID`, give tuners a minute by NODE_OPTIONS as in the README, and "
        "start it again",
    ),
    (r"too many files|too large", "name what trials do not need in .nniignore, or give a smaller trialCodeDirectory"),
    (r"No module named pip", "install pip into that environment; NNI runs it at each start"),
    (r"externally-managed", "give pythonPath, the folder bin of a virtual environment with pip"),
    (r"No module named|Cannot find python", "give pythonPath, the folder bin of an environment with hnas-nni and pip"),
    (r"can't reach", "let it, or give another nniManagerIp"),
    (r"authentication|privateKey|passphrase", "check user and sshKeyFile"),
    (r"ECONN|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN|handshake", "check host and port, and that sshd runs there"),
)


def why_it_ended(experiment: Path, trials: Sequence[Trial] = ()) -> tuple[str, str] | None:
    """Return what an experiment's manager ended with, and what to do; None if its log tells of nothing.

    Parameters
    ----------
    experiment
        The experiment's folder.
    trials
        Its trials. What was logged before one of them started is of an earlier session; that a session begins stands in
        the log only at ``logLevel: info``.
    """
    try:
        log = read_text(experiment / "log" / "nnimanager.log").rpartition(_SESSION)[2]
    except (OSError, ValueError):
        return None
    log = _since(log, max((trial.start for trial in trials if trial.start), default=None))
    if (found := _SERVICE.search(log)) is not None:
        reason = _on_which_machine(log, found[1], configured_machines(experiment))
    elif (found := _ERROR.search(log)) is not None:
        reason = found[1]
    else:
        return None
    reason = reason.strip().rstrip(".")
    remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, reason)), "mend that")
    return reason, remedy.replace(" ID`", f" {experiment.name}`")


def _since(log: str, start: datetime | None) -> str:
    """Return the lines from the second of `start` on; all without it."""
    if start is None:
        return log
    begin = start.replace(microsecond=0)
    for line in _TIME.finditer(log):
        if datetime.strptime(line[1], "%Y-%m-%d %H:%M:%S").astimezone() >= begin:
            return log[line.start() :]
    return ""


def _on_which_machine(log: str, reason: str, machines: list[Machine]) -> str:
    """Return the reason with the machine that it is about, where that can be told."""
    number = None
    if (command := _COMMAND.search(log)) is not None:
        number, reason = int(command[1]), f"{command[2]}: {_telling_text(command[3])}"
    elif (keeper := _KEEPER.search(log)) is not None and "launch trial keeper" in reason:
        number, reason = int(keeper[1]), f"it can't reach the manager ({_first_text(keeper[2])})"
    elif "files" not in reason and "too large" not in reason:
        lost = set(_BEGUN.findall(log)) - set(_CONNECTED.findall(log))
        number = int(lost.pop()) if len(lost) == 1 else None
    if number is None or not 0 < number <= len(machines):
        return reason
    machine = machines[number - 1]
    return f"machine {machine.user}@{machine.host} (port {machine.port}): {reason}"


def _lines(document: str) -> list[str]:
    """Return the lines of the texts in what node shows of an object."""
    texts = [single or double for single, double in _TEXT.findall(document)]
    return [line.strip() for text in texts for line in text.split("\\n") if line.strip()]


def _first_text(document: str) -> str:
    return next(iter(_lines(document)), "").removeprefix("Error: ")


def _telling_text(document: str) -> str:
    """Return the line that something can be done about, or else the last, where errors usually are."""
    lines = _lines(document)
    known = [line for line in lines if any(re.search(pattern, line) for pattern, _ in _REMEDIES)]
    return (known or lines[-1:] or ["it failed"])[0]
