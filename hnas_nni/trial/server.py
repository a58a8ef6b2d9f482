"""The server of an experiment's trials: it has everything imported, and forks a process for each trial.

The first trial starts it (:mod:`hnas_nni.trial.server_start`), as ``python -m hnas_nni.trial.server SOCKET MANAGER``:
the descriptor of a listening socket, and the process id of NNI's manager. It ends with that process, and after some
minutes without a trial. A trial whose client has ended is killed; none is otherwise.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from hnas_nni.trial.server_address import NoServerError, check_same_user
from hnas_nni.trial.server_fork import run_forked
from hnas_nni.trial.server_imports import load
from hnas_nni.trial.server_preparation import prepare
from hnas_nni.trial.server_request import TrialRequest, lasting_environment, traits_of_this_process

IDLE = 600.0
"""Seconds without a trial after which a server ends; the next trial starts another."""


@dataclass(frozen=True)
class _Trial:
    """A trial that runs: its process, and the client that waits for it."""

    name: str
    process: int
    end: int
    """Descriptor that can be read when the process has ended."""
    client: socket.socket


class Server:
    """Runs trials, until the manager ends or nothing has come for long.

    Parameters
    ----------
    listener
        A listening UNIX socket; its path is removed at the end.
    manager
        Process id of NNI's manager.
    idle
        See :data:`IDLE`.

    Raises
    ------
    ProcessLookupError
        If the manager has ended.
    """

    def __init__(self, listener: socket.socket, manager: int, idle: float = IDLE) -> None:
        # Both as they were before anything was imported.
        self._lasting = {**traits_of_this_process(), **lasting_environment(os.environ)}
        self._environment = dict(os.environ)
        self._listener = listener
        self._manager = os.pidfd_open(manager)
        self._idle = idle
        self._trials: set[_Trial] = set()
        # Not epoll, whose descriptor a forked process would share.
        self._events = selectors.PollSelector()

    def run(self, refusal: str = "") -> None:
        """Serve until the end, or refuse every trial with a reason."""
        self._refusal = refusal
        self._listener.setblocking(False)
        self._watch(self._listener, self._accept)
        self._watch(self._manager, self._close)
        while self._events.get_map():
            ready = self._events.select(None if self._trials else self._idle)
            if not ready:
                self._close()
            for key, _ in ready:
                key.data()

    def _watch(self, what: socket.socket | int, action: Callable[[], None]) -> None:
        self._events.register(what, selectors.EVENT_READ, action)

    def _accept(self) -> None:
        """Take a client in; false alarms are possible, as is one that has gone again."""
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = self._listener.accept()
            client.setblocking(True)
            self._watch(client, lambda: self._begin(client))

    def _close(self) -> None:
        """Take in who has connected already, and nobody after them."""
        if self._listener.fileno() < 0:
            return
        with suppress(FileNotFoundError):
            os.unlink(self._listener.getsockname())
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                self._watch(client, lambda client=client: self._begin(client))  # type: ignore[misc]
        for what in (self._listener, self._manager):
            self._events.unregister(what)
        self._listener.close()
        os.close(self._manager)

    def _begin(self, client: socket.socket) -> None:
        """Fork a process for the trial that a client asks for."""
        self._events.unregister(client)
        streams: list[int] = []
        try:
            check_same_user(client)
            request, streams = TrialRequest.receive(client)
            self._check(request)
            prepare(request.arguments)
            server = os.getpid()
            process = os.fork()
            if not process:
                self._be_the_trial(request, streams, client, server)
        except (NoServerError, OSError, ValueError) as error:
            with suppress(OSError):
                client.sendall(f"{error}\n".encode())
            client.close()
            return
        finally:
            for stream in streams:
                os.close(stream)
        with suppress(OSError):  # the process does so too, whoever is first
            os.setpgid(process, process)
        trial = _Trial(request.environment.get("NNI_TRIAL_JOB_ID", ""), process, os.pidfd_open(process), client)
        self._trials.add(trial)
        self._watch(trial.end, lambda: self._end(trial))
        self._watch(client, lambda: self._kill(trial))
        with suppress(OSError):
            client.sendall(b"begun\n")

    def _check(self, request: TrialRequest) -> None:
        """Refuse a trial for which Python, OpenMP or torch would have had to start otherwise than they did here."""
        if self._refusal:
            raise NoServerError(self._refusal)
        theirs = request.lasting
        different = sorted(name for name in {*theirs, *self._lasting} if theirs.get(name) != self._lasting.get(name))
        if different:
            raise NoServerError(f"{', '.join(different)}: not as where the experiment's first trial started")

    def _be_the_trial(self, request: TrialRequest, streams: list[int], client: socket.socket, server: int) -> NoReturn:
        """Go on as the trial, in the forked process."""
        try:
            client.close()
            # If the trial held them too, the server would not see that another client has ended.
            for key in list(self._events.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
                else:
                    os.close(key.fd)
            run_forked(request, streams, self._environment, server)
        finally:
            os._exit(1)

    def _end(self, trial: _Trial) -> None:
        """Tell the client how its trial has ended."""
        _, status, used = os.wait4(trial.process, 0)
        code = os.waitstatus_to_exitcode(status)
        log(f"trial {trial.name} in process {trial.process}: {code}, {used.ru_utime + used.ru_stime:.2f} CPU seconds")
        with suppress(OSError):
            trial.client.sendall(f"{code}\n".encode())
        self._events.unregister(trial.end)
        os.close(trial.end)
        if trial.client.fileno() >= 0:
            self._forget(trial.client)
        self._trials.remove(trial)

    def _kill(self, trial: _Trial) -> None:
        """Kill a trial whose client has ended; its end is seen afterwards."""
        if trial.client.fileno() >= 0:  # not closed since this was found to be readable
            self._forget(trial.client)
            with suppress(ProcessLookupError):
                os.killpg(trial.process, signal.SIGKILL)

    def _forget(self, client: socket.socket) -> None:
        self._events.unregister(client)
        client.close()


def main() -> None:
    """Run the server whose socket and manager the command line names."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.set_inheritable(False)
    server = Server(listener, int(sys.argv[2]))
    refusal = ""
    try:
        load()
    except Exception as error:  # trials will say so, each for itself, and not wait for another server
        traceback.print_exc()
        refusal = f"it could not start ({error})"
    os.chdir("/")  # be in nobody's way
    # What is never freed is not written to either, so that trials share its pages.
    gc.collect()
    gc.freeze()
    log(f"has imported everything in {time.process_time():.1f} CPU seconds")
    server.run(refusal)
    log("ends")


def log(text: str) -> None:
    """Write a line to the server's log."""
    print(time.strftime("[%Y-%m-%d %H:%M:%S]"), f"process {os.getpid()}", text, flush=True)


if __name__ == "__main__":
    main()
