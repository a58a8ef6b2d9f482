"""What a process that was forked off the server does: it becomes the trial's process, and runs the trial."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import traceback
from typing import NoReturn

from hnas_nni.trial.server_imports import adapt
from hnas_nni.trial.server_request import TrialRequest

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def run_forked(request: TrialRequest, streams: list[int], environment: dict[str, str], server: int) -> NoReturn:
    """Run a trial in this process and end with its exit code.

    Parameters
    ----------
    request
        What the trial is to find.
    streams
        Descriptors of its standard input, output and error.
    environment
        The server's environment before it imported anything.
    server
        The server's process id.
    """
    code = 1
    try:
        _die_with(server)
        _become(request, streams, environment)
        code = _run(request.arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)  # the rest is the server's to end


def _die_with(server: int) -> None:
    """Have the kernel kill this process should the server die, or have died."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    os.setpgid(0, 0)  # what it starts is killed with it


def _become(request: TrialRequest, streams: list[int], environment: dict[str, str]) -> None:
    """Take the place of the process that sent a request."""
    for stream, descriptor in enumerate(streams):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.umask(request.umask)
    os.chdir(request.folder)
    sys.path[0] = request.import_folder
    # Imports have set variables that the trial's own imports would have set.
    imported = {name: value for name, value in os.environ.items() if environment.get(name) != value}
    os.environ.clear()
    os.environ.update(request.environment | imported)
    adapt()


def _run(arguments: list[str]) -> int:
    """Run the trial as ``python -m hnas_nni.trial`` runs it where there is no server; returns the exit code."""
    from hnas_nni.architecture.own_modules import load_modules
    from hnas_nni.trial import __main__ as trial

    sys.argv = [trial.__file__, *arguments]
    try:
        load_modules()
        return trial.main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
