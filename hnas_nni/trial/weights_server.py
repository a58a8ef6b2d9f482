"""Weights that trials on several machines have in common: a server beside NNI's manager.

It hands out and takes what trials on one machine share by files of the experiment's folder, and keeps it in just these
files: the weights that go on to the next rung (:mod:`hnas_nni.trial.checkpoints`), and those that trials of the paper's
space share (:mod:`hnas_nni.trial.shared_weights`). A file appears whole or not at all, shared units in one transaction,
so a kill at any moment loses nothing that was there before.

Whoever does not know the token, a part of the address that the tuner hands to the trials, is answered 404.
"""

from __future__ import annotations

import hmac
import json
import re
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json
from hnas_nni.trial.checkpoints import FOLDER
from hnas_nni.trial.packed import pack, unpack

MOST_BYTES = 2 * 2**30
"""Of a request; the weights of one network and their optimizer are far smaller."""

_IDLE = 60.0
"""Seconds that a connection may say nothing."""

_STAGE = re.compile(r"/stages/([0-9a-f]{32}\.pt)")
_SHARED = re.compile(r"/shared/(read|merge)")


class WeightsServer:
    """Serves an experiment's weights, in threads of this process, until it is closed or the process ends.

    Parameters
    ----------
    folder
        The experiment's, on the manager's machine.
    host, port
        Where to listen; 0 is any free port.
    token
        What a request's path begins with.

    Raises
    ------
    OSError
        If it can't listen there.
    """

    def __init__(self, folder: Path, host: str, port: int, token: str) -> None:
        class Handler(_Handler):
            served = _Weights(folder)
            secret = f"/{token}"

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True, name="weights").start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


class _Weights:
    """The files of an experiment's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stage(self, name: str) -> Path:
        return self._folder / FOLDER / name

    def read(self, request: bytes) -> bytes:
        asked = parse_json(request)
        rows = self._shared(asked["sizes"]).stored(asked["names"])
        return pack([[name, version] for name, (version, _) in rows.items()], [blob for _, blob in rows.values()])

    def merge(self, request: bytes) -> bytes:
        from safetensors import SafetensorError
        from safetensors.torch import load

        header, blobs = unpack(request)
        try:
            units = {name: load(blob) for (name, _), blob in zip(header["units"], blobs, strict=True)}
        except SafetensorError as error:
            raise ValueError(f"not tensors ({error})") from error
        return json.dumps(self._shared(header["sizes"]).merge(units, dict(header["units"]))).encode()

    def _shared(self, sizes: Any) -> Any:
        from hnas_nni.trial.shared_weights import FILE_NAME, SharedWeights

        scale, channels, layers = map(int, sizes)
        return SharedWeights(self._folder / FILE_NAME, scale=scale, channels=channels, layers=layers)


class _Handler(BaseHTTPRequestHandler):
    served: _Weights
    secret: str
    timeout = _IDLE
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({_STAGE: self._hand_out})

    def do_PUT(self) -> None:
        self._answer({_STAGE: self._take})

    def do_POST(self) -> None:
        self._answer({_SHARED: self._share})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: standard error is the terminal of who started the search."""

    def _answer(self, doors: dict[re.Pattern[str], Callable[[str], None]]) -> None:
        begin, rest = self.path[: len(self.secret)], self.path[len(self.secret) :]
        self.close_connection = True
        if not hmac.compare_digest(begin.encode(), self.secret.encode()):
            return self._say(404, b"")
        for pattern, door in doors.items():
            if (match := pattern.fullmatch(rest)) is not None:
                try:
                    return door(match[1])
                except (ValueError, KeyError, TypeError) as error:
                    return self._say(400, str(error).encode())
                except OSError as error:
                    return self._say(507, f"{error.filename}: {error.strerror}".encode())
        return self._say(404, b"")

    def _hand_out(self, name: str) -> None:
        try:
            file = self.served.stage(name).open("rb")
        except FileNotFoundError:
            return self._say(410, b"no weights to go on from")
        with file:
            self.send_response(200)
            self.send_header("Content-Length", str(file.seek(0, 2)))
            self.end_headers()
            file.seek(0)
            shutil.copyfileobj(file, self.wfile)

    def _take(self, name: str) -> None:
        left = self._length()
        path = self.served.stage(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            while left:
                part = self.rfile.read(min(left, 2**20))
                if not part:
                    raise ValueError("the request ended early")
                file.write(part)
                left -= len(part)
        return self._say(200, b"")

    def _share(self, what: str) -> None:
        length = self._length()
        request = self.rfile.read(length)
        if len(request) != length:
            raise ValueError("the request ended early")
        self._say(200, self.served.read(request) if what == "read" else self.served.merge(request))

    def _length(self) -> int:
        length = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= length <= MOST_BYTES:
            raise ValueError(f"Content-Length: {length} is not valid; at most {MOST_BYTES}")
        return length

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
