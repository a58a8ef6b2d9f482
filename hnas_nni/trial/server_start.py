"""Starting the server of an experiment's trials, once whoever asks for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from pathlib import Path

from hnas_nni.trial.experiment_folder import experiment_folder
from hnas_nni.trial.server_address import NoServerError
from hnas_nni.trial.server_request import interpreter_options, lasting_environment

LOG = "trial_server.log"
"""Name of the server's log, in the experiment's folder ``log``."""

_BACKLOG = 128
"""Trials that may wait while the server imports."""


def start_unless_running(path: str, experiment: str) -> None:
    """Start a server that listens at a socket, unless another trial has just done so.

    The socket is bound here and handed to the server, so from then on trials can connect; what it has not yet
    accepted waits. What an ended server left at this path does not matter.

    Raises
    ------
    NoServerError
        If there is no manager of the experiment that the server could end with.
    OSError
        If the system refuses.
    """
    manager = manager_of(experiment)
    with open(os.path.join(os.path.dirname(path), "lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a dead process holds none
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), socket.socket(socket.AF_UNIX) as other:
            other.connect(path)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(_BACKLOG)
            _start(listener, manager, _log(path, experiment))


def manager_of(experiment: str) -> int:
    """Return the process id of NNI's manager, which has started the trials and this process.

    Raises
    ------
    NoServerError
        If no process above this one has the experiment's id on its command line.
    """
    process = os.getppid()
    with contextlib.suppress(OSError):
        while process > 1:
            folder = Path("/proc", str(process))
            if experiment.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                return process
            # The command's name, in brackets, may have any characters.
            process = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
    raise NoServerError(f"the manager of experiment {experiment} has not started this process")


def _log(path: str, experiment: str) -> Path:
    """Where the server writes to: beside NNI's own logs, or beside its socket."""
    with contextlib.suppress(ValueError):
        folder = experiment_folder(Path(os.environ.get("NNI_OUTPUT_DIR", "")), experiment) / "log"
        if folder.is_dir():
            return folder / LOG
    return Path(path).with_suffix(".log")


def _start(listener: socket.socket, manager: int, log: Path) -> None:
    """Start the server as a process that has nothing to do with this one.

    It is nobody's child any more when this returns: NNI kills what descends from a trial's process.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for stream, descriptor in enumerate((null, output, output)):
            os.dup2(descriptor, stream)
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor > 2 and descriptor != listener.fileno():
                with contextlib.suppress(OSError):
                    os.set_inheritable(descriptor, False)
        listener.set_inheritable(True)
        command = [
            sys.executable,
            *interpreter_options(),
            "-m",
            "hnas_nni.trial.server",
            str(listener.fileno()),
            str(manager),
        ]
        os.execve(sys.executable, command, lasting_environment(os.environ))
    finally:
        os._exit(127)
