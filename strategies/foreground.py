"""Let ``nnictl create --foreground`` end in peace when its experiment is stopped from elsewhere.

It asks its manager every ten seconds; of one that ``nnictl stop`` has ended meanwhile it tells in two tracebacks, as
if something were broken. None of this package runs in that process, so the tuner, which the manager tells of its end
first, says what happened and ends it.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from nni.runtime.env_vars import dispatcher_env_vars

_DISPATCHER = "nni.runtime.msg_dispatcher_base"
_EXITING = "Dispatcher exiting..."
"""What NNI's dispatcher notes, there, once its manager has told it to end."""
_FARTHEST = 3


def end_with_the_manager(say: Callable[[str], None]) -> None:
    """From now on, end the ``nnictl`` that waits for this experiment when the experiment is stopped from elsewhere.

    Has no effect outside NNI's dispatcher, without ``--foreground``, and on Windows.

    Parameters
    ----------
    say
        Tells a line at the terminal.
    """
    logger = logging.getLogger(_DISPATCHER)
    known = any(isinstance(handler, _OnExit) for handler in logger.handlers)
    if dispatcher_env_vars.SDK_PROCESS == "dispatcher" and sys.platform != "win32" and not known:
        logger.addHandler(_OnExit(say))


class _OnExit(logging.Handler):
    """Acts on what the dispatcher notes: its own hook for tuners comes up to six seconds later, which is too late.

    NNI's own loggers have level INFO in the dispatcher, whatever the experiment's ``logLevel``.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() != _EXITING:
            return
        waiting = _waiting_nnictl()
        if waiting is not None and _is_being_stopped():
            experiment = Path(dispatcher_env_vars.NNI_LOG_DIRECTORY or ".").parent.name
            # With --foreground, NNI 3.0 would end what it resumes at once.
            self._say(
                f"\nstopped from elsewhere; nothing is lost. Go on in the background:  nnictl resume {experiment}"
            )
            with suppress(psutil.Error):
                waiting.send_signal(signal.SIGTERM)


def _is_being_stopped() -> bool:
    """Return whether ``nnictl stop`` is at work: it waits until the manager has ended.

    After Ctrl-C, and when all is done, the ``nnictl`` that waits asks its manager to end, and none is. One that stops
    another experiment at this very moment can't be told from it.
    """
    return any("stop" in (_arguments_of_nnictl(process) or ()) for process in psutil.process_iter())


def _waiting_nnictl() -> psutil.Process | None:
    """Return the process that started the manager and waits for it; None if there is none.

    NNI starts the manager by it, and this process by the manager, through a shell.
    """
    with suppress(psutil.Error):
        for ancestor in psutil.Process().parents()[:_FARTHEST]:
            if {"--foreground", "-f"} & set(_arguments_of_nnictl(ancestor) or ()):
                return ancestor
    return None


def _arguments_of_nnictl(process: psutil.Process) -> list[str] | None:
    """Return what a process was given, if it is an ``nnictl``; None if it is none, or is not there any more."""
    with suppress(psutil.Error):
        command: list[str] = process.cmdline()
        for position, word in enumerate(command[:2]):  # a script's first is the interpreter
            if Path(word).stem == "nnictl":
                return command[position + 1 :]
    return None
