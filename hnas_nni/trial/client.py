"""The process that NNI starts for a trial: it has the experiment's server run the trial, and waits for its end.

Most of what a short trial takes are imports. The server (:mod:`hnas_nni.trial.server`) has done them, and forks a
process for each trial. To NNI nothing changes: the trial ends when this process does, with its exit code, and when
NNI kills this process, the trial dies.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TextIO

from hnas_nni.trial.server_address import NoServerError, check_same_user, socket_path
from hnas_nni.trial.server_request import TrialRequest

OPTION = "--no-server"
"""Option of a trial that is to run in the process that NNI starts."""

_PATIENCE = 180.0
"""Seconds that a server which is still importing may take to begin with a trial."""


def hand_over() -> None:
    """Have the server run the trial of this process, and end as the trial does.

    Returns, so that the trial runs here, where no server is of use (by hand, where NNI reaches a machine from afar, on
    others than Linux, with ``--no-server``); and with a line to stderr where there is none against expectation.
    """
    if os.environ.get("NNI_PLATFORM") != "local" or sys.platform != "linux" or OPTION in sys.argv:
        return
    try:
        answers = _begin(_connection(os.environ.get("NNI_EXP_ID", "")))
    except (NoServerError, OSError) as error:
        print(f"hnas trial: runs without a server: {error}", file=sys.stderr)
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to die of it without a traceback
    end = answers.readline()
    if not end:
        print(f"hnas trial: error: the server that ran this trial was killed; {OPTION} is without one", file=sys.stderr)
        os._exit(1)
    _end_likewise(int(end))


def _connection(experiment: str) -> socket.socket:
    """Connect with the experiment's server, and start it if there is none."""
    path = socket_path(experiment)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        from hnas_nni.trial.server_start import start_unless_running

        start_unless_running(path, experiment)
        connection.connect(path)
    check_same_user(connection)
    return connection


def _begin(connection: socket.socket) -> TextIO:
    """Let the trial begin; returns where the server will write how it ended."""
    connection.settimeout(_PATIENCE)
    answers = connection.makefile("r", encoding="utf-8")
    TrialRequest.of_this_process().send(connection)
    answer = answers.readline().strip()
    if answer != "begun":
        raise NoServerError(answer or "it could not start; its log lies in the experiment's folder log")
    connection.settimeout(None)
    return answers


def _end_likewise(code: int) -> None:
    """End with an exit code, or of a signal if it is negative."""
    sys.stdout.flush()
    if code < 0:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the trial's own is the one of interest
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
