"""A trial's way to weights that several machines have in common (:mod:`hnas_nni.trial.weights_server`)."""

from __future__ import annotations

import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from hnas_nni.files import replacing

_TIMEOUT = 60.0
_PATIENCE = 60.0
"""Seconds for which a server that can't be reached is asked again: the manager's machine may be busy."""
_PAUSE = 2.0


class CommonWeights:
    """Weights beside NNI's manager.

    Parameters
    ----------
    address
        As the tuner hands it to trials: ``host:port/token``. What NNI sends to trials and back must not contain ``//``,
        which its JSON reader takes for the beginning of a comment.

    Raises
    ------
    ValueError
        If that is no address.
    """

    def __init__(self, address: str) -> None:
        place, _, token = address.partition("/")
        if not re.fullmatch(r"\S+:\d+", place) or not token:
            raise ValueError("weights_at: not an address of weights, which a tuner gives as host:port/token")
        self._address = f"http://{address}"
        self._place = place

    def fetch(self, path: Path) -> None:
        """Write the weights of a stage to the file of their name.

        Raises
        ------
        ValueError
            If there are none, or the server can't be reached.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._ask("GET", f"stages/{path.name}", None) as answer,
            replacing(path) as temporary,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)

    def store(self, path: Path) -> None:
        """Hand a file of weights to the trials of the next stage.

        Raises
        ------
        ValueError
            If the server can't be reached, or can't keep them.
        """
        with self._ask("PUT", f"stages/{path.name}", path.read_bytes()):
            pass

    def post(self, what: str, message: bytes) -> bytes:
        """Return the answer to a request for shared units.

        Raises
        ------
        ValueError
            If the server can't be reached, or refuses; with its reason.
        """
        with self._ask("POST", f"shared/{what}", message) as answer:
            return bytes(answer.read())

    def _ask(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        request = urllib.request.Request(f"{self._address}/{path}", body, method=method)
        # The address is one that trials were told, whatever proxy their machine has for the world outside.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                answer: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT)
                return answer
            except urllib.error.HTTPError as error:
                reason = error.read().decode(errors="replace") or error.reason
                raise ValueError(f"common weights at {self._place}: {reason}") from error
            except OSError as error:
                if time.monotonic() > end:
                    raise ValueError(
                        f"common weights at {self._place}: can't be reached ({getattr(error, 'reason', error)}); let "
                        "this machine reach that port of NNI's manager's, the one after the web UI's"
                    ) from error
                time.sleep(_PAUSE)
