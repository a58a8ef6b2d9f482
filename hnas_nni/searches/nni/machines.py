"""Bringing home what a trial left on another machine, over ssh as NNI itself reaches it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.searches.nni.database import ExperimentError, query
from hnas_nni.searches.record import RemoteFolder, Trial

_TIMEOUT = 300.0
_CONNECT_TIMEOUT = 15
_WORKER = "remote-worker"
"""NNI numbers its workers from 1 in the order of ``machineList``; a machine that was lost and came back gets another
number."""


@dataclass(frozen=True)
class Machine:
    """A machine of NNI's ``machineList``."""

    host: str
    port: int
    user: str
    key: str | None

    @classmethod
    def from_nni(cls, entry: Mapping[str, Any]) -> Machine:
        """Read an entry of the experiment's configuration."""
        key = entry.get("sshKeyFile")
        return cls(str(entry["host"]), int(entry.get("port") or 22), str(entry["user"]), key and str(key))

    def ssh(self, known_hosts: Path) -> list[str]:
        """Return the words of an ssh command up to the host.

        Parameters
        ----------
        known_hosts
            Where the keys of machines that ssh did not know are noted. NNI looks at no keys of machines; here one
            that has changed is refused.
        """
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": _CONNECT_TIMEOUT,
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": f'"{known_hosts}" ~/.ssh/known_hosts',
            "LogLevel": "ERROR",
        }
        words = ["ssh", "-p", str(self.port), "-l", self.user]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        if self.key:
            words += ["-o", "IdentitiesOnly=yes", "-i", os.path.expanduser(self.key)]
        return [*words, "--", self.host]


def fetch_model(experiment: Path, trial: Trial) -> Path:
    """Copy a trial's model file from the machine that ran it.

    Parameters
    ----------
    experiment
        The experiment's folder.
    trial
        A trial with a folder elsewhere.

    Returns
    -------
    Path
        The copy, in the experiment's folder, where NNI puts logs of such a trial too; there the trial's own folder is
        found from now on.

    Raises
    ------
    ExperimentError
        If it can't be had; the message says where the file lies.
    """
    assert trial.elsewhere is not None
    copy = experiment / "trials" / trial.id / MODEL_FILE
    copy.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for machine in machines_of(experiment, trial.elsewhere):
        try:
            with replacing(copy) as temporary, temporary.open("wb") as output:
                _read(machine, trial.elsewhere, experiment / "known_hosts", output.fileno())
            return copy
        except _FetchError as error:
            place = f"{machine.user}@{trial.elsewhere}/{MODEL_FILE} (port {machine.port})"
            problems.append(f"{place}: can't be fetched ({error})")
    if not problems:
        problems.append(f"{trial.elsewhere}/{MODEL_FILE}: of no machine that the experiment's configuration names")
    raise ExperimentError(f"{problems[0]}; copy it to {copy}")


def configured_machines(experiment: Path) -> list[Machine]:
    """Return an experiment's ``machineList``; empty if it has none, or the configuration is damaged."""
    try:
        (rows,) = query(experiment, "SELECT params FROM ExperimentProfile ORDER BY rowid")
        entries = parse_json(rows[-1][0])["trainingService"]["machineList"]
        return [Machine.from_nni(entry) for entry in entries]
    except (IndexError, KeyError, TypeError, ValueError):
        return []


def machines_of(experiment: Path, folder: RemoteFolder) -> list[Machine]:
    """Return the machines of an experiment on which a folder may lie, the likeliest first.

    NNI tells the host alone, of which several machines may be ports.
    """
    number = folder.environment.removeprefix(_WORKER)
    place = int(number) - 1 if number.isdecimal() else -1
    machines = [(index != place, machine) for index, machine in enumerate(configured_machines(experiment))]
    found = [pair for pair in machines if pair[1].host == folder.host]
    return [machine for _, machine in sorted(found, key=lambda pair: pair[0])]


class _FetchError(Exception):
    """Why a file could not be had."""


def _read(machine: Machine, folder: RemoteFolder, known_hosts: Path, output: int) -> None:
    """Write a remote model file to a descriptor."""
    path = f"{folder.path}/{MODEL_FILE}"
    # A home folder that the machine knows best.
    quoted = f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
    command = [*machine.ssh(known_hosts), f"cat {quoted}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, timeout=_TIMEOUT, text=True
        )
    except FileNotFoundError:
        raise _FetchError("there is no ssh program here") from None
    except subprocess.TimeoutExpired:
        raise _FetchError(f"the machine sent nothing for {_TIMEOUT:.0f} seconds") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # Without the file's or the host's name, which the message has.
        reason = lines[-1].rpartition(": ")[2].rstrip(".") if lines else f"ssh ended with {done.returncode}"
        raise _FetchError(reason)
