"""A mend for NNI 3.0: resumed NAS experiments stop listening to their trials."""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any

from nni.nas.execution import ExecutionEngine, TrainingServiceExecutionEngine

_logger = logging.getLogger("nni.hnas")


def keep_listening(engine: ExecutionEngine) -> None:
    """Let an engine go on listening after NNI's manager sent what NNI's own channel does not know.

    On ``NasExperiment.resume`` the manager first sends the finished trials (``ImportData``), as it does to tuners. The
    engine's channel raises ValueError at it, which ends the listening thread: no trial could start any more, with any
    strategy. The finished trials are in the experiment's database all the same, so the command is skipped.

    Parameters
    ----------
    engine
        Only an engine of trials in processes is changed, and no other one of them.
    """
    if not isinstance(engine, TrainingServiceExecutionEngine):
        return
    channel, stop = engine._channel, engine._channel_listen_stop_event
    listening: Thread = engine._channel_listen_thread
    receive = channel.receive

    def receive_known() -> Any:
        while True:
            try:
                return receive()
            except ValueError as error:
                if "Unknown command type" not in str(error):
                    raise
                _logger.debug("skipped: %s", error)

    def go_on() -> None:
        # The first thread may be waiting in the old receive(), or have ended by it.
        listening.join()
        if not stop.is_set():
            channel.listen(stop)

    channel.receive = receive_known
    engine._channel_listen_thread = Thread(target=go_on, daemon=True)
    engine._channel_listen_thread.start()
