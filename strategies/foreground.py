"""Let ``nnictl create --foreground`` end in peace when its experiment is stopped from elsewhere.

It asks its manager every ten seconds; of one that ``nnictl stop`` has ended meanwhile it tells in two tracebacks, as
if something were broken. None of this package runs in that process, so the tuner, which the manager tells of its end
first, says what happened and ends it.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from nni.runtime.env_vars import dispatcher_env_vars

_DISPATCHER = "nni.runtime.msg_dispatcher_base"
_EXITING = "Dispatcher exiting..."
"""What NNI's dispatcher notes, there, once its manager has told it to end."""
_STOPPED = b"Initiate shutdown: SIGTERM"
"""What the manager notes when ``nnictl stop`` ends it; after Ctrl-C, or when all is done, nnictl asks it by REST."""
_PATIENCE = 2.0
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
    """Acts on what the dispatcher notes: its own hook for tuners comes up to six seconds later, which is too late."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self._log = Path(dispatcher_env_vars.NNI_LOG_DIRECTORY or ".", "nnimanager.log")
        # The log of an experiment that was resumed tells the ends of earlier sessions too.
        self._begin = self._log.stat().st_size if self._log.exists() else 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() != _EXITING:
            return
        waiting = _waiting_nnictl()
        if waiting is not None and self._was_stopped():
            experiment = self._log.parents[1].name
            self._say(f"\nstopped from elsewhere; nothing is lost. Go on:  nnictl resume {experiment} --foreground")
            with suppress(psutil.Error):
                waiting.send_signal(signal.SIGTERM)

    def _was_stopped(self) -> bool:
        """Return whether a signal ended the manager, which may note it a moment later than it tells the dispatcher."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                with self._log.open("rb") as log:
                    log.seek(self._begin)
                    if _STOPPED in log.read():
                        return True
            except OSError:
                return False
            time.sleep(0.05)
        return False


def _waiting_nnictl() -> psutil.Process | None:
    """Return the process that started the manager and waits for it; None if there is none.

    NNI starts the manager by it, and this process by the manager, through a shell.
    """
    try:
        for ancestor in psutil.Process().parents()[:_FARTHEST]:
            arguments = ancestor.cmdline()
            is_nnictl = any(Path(argument).name.startswith("nnictl") for argument in arguments[:2])
            if is_nnictl and {"--foreground", "-f"} & set(arguments):
                return ancestor
    except psutil.Error:
        pass
    return None
