"""SIGTERM, which service managers, schedulers and ``kill`` send: work ends as it does after Ctrl-C, tidied up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """The process was asked to end."""


@contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise :class:`Terminated` for the while, so that what is half written is removed.

    Nothing changes where signals can't be handled, in a thread, or where somebody handles this one already.
    """
    owner = os.getpid()

    def end(*_: object) -> None:
        if os.getpid() == owner:
            raise Terminated
        # A process that was forked off, as workers that load images are, simply ends.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
