"""NAS experiments of NNI in a process of their own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from nni_experiment import free_port
from repository import REPOSITORY

MENDED_START = """
from nni.experiment import launcher
# NNI gives its web server three seconds to start, too few on a busy machine.
_check = launcher._check_rest_server
launcher._check_rest_server = lambda port, retry=3, url_prefix=None: _check(port, 100, url_prefix)
"""
"""For the beginning of a script that runs an experiment."""


def start_nas(
    folder: Path, script: str, action: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Run a script that is the experiment; its arguments are the folder, a free port, the action, and others.

    Parameters
    ----------
    folder
        Where it lies and runs, its own home folder, with a log for each action.
    script
        The file in it.
    action
        "create" or "resume".
    """
    variables = os.environ | {"HOME": str(folder), "PYTHONPATH": f"{folder}:{REPOSITORY}"} | dict(environment or {})
    command = [sys.executable, script, str(folder), str(free_port()), action, *map(str, arguments)]
    with open(folder / f"{action}.log", "wb") as log:
        return subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)


def kill_nas(process: subprocess.Popen[bytes]) -> None:
    """Kill it, NNI's manager and the trials without warning."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family)
    process.wait()


def finish_nas(process: subprocess.Popen[bytes], folder: Path, action: str) -> dict[str, Any]:
    """Wait for its end, and return what the script has written to ``result.json``."""
    try:
        assert process.wait(timeout=600) == 0, (folder / f"{action}.log").read_text()
    finally:
        if process.poll() is None:
            kill_nas(process)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result
