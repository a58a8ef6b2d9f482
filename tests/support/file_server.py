"""A file server on loopback that fails as asked: what tests of downloads fetch from."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LAST_MODIFIED = "Tue, 14 Feb 2017 14:27:11 GMT"


@dataclass
class Request:
    """One request, and what was answered."""

    path: str
    range: str | None
    if_range: str | None
    status: int = 0
    sent: int = 0


@dataclass
class FileServer:
    """The files, and how to fail.

    Parameters
    ----------
    files
        Path -> content.
    ranges
        Whether ranges are granted.
    etag, dated
        Whether versions are named by ETag, by Last-Modified.
    announces_size
        Whether Content-Length is sent.
    claimed_size
        What Content-Length says instead of the truth.
    drop_after
        For each coming request, after how many bytes of the body the connection breaks off; None for not at all.
    statuses
        Error statuses of the coming requests, before any is answered as it should be.
    """

    files: dict[str, bytes]
    ranges: bool = True
    etag: bool = True
    dated: bool = True
    announces_size: bool = True
    claimed_size: int | None = None
    drop_after: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            request = Request(self.path.lstrip("/"), self.headers["Range"], self.headers["If-Range"])
            server.requests.append(request)
            content = server.files.get(request.path)
            if server.statuses:
                request.status = server.statuses.pop(0)
            elif content is None:
                request.status = 404
            if request.status or content is None:
                self.send_response(request.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(request, content)

        def _send(self, request: Request, content: bytes) -> None:
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            first, request.status = 0, 200
            current = ({tag} if server.etag else set()) | ({LAST_MODIFIED} if server.dated else set())
            if server.ranges and request.range and (request.if_range is None or request.if_range in current):
                first = int(re.fullmatch(r"bytes=(\d+)-", request.range)[1])
                request.status = 206 if first < len(content) else 416
            self.send_response(request.status)
            body = b"" if request.status == 416 else content[first:]
            if request.status == 206:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            if request.status == 416:
                self.send_header("Content-Range", f"bytes */{len(content)}")
            if server.etag:
                self.send_header("ETag", tag)
            if server.dated:
                self.send_header("Last-Modified", LAST_MODIFIED)
            if server.announces_size:
                self.send_header("Content-Length", str(server.claimed_size or len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            end = server.drop_after.pop(0) if server.drop_after else None
            request.sent = len(body[:end])
            with suppress(ConnectionError):  # the client has seen enough
                self.wfile.write(body[:end])
            self.close_connection = True

    return Handler


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[FileServer]:
    """Serve files on a free port of 127.0.0.1."""
    files_and_faults = FileServer(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files_and_faults))
    files_and_faults.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield files_and_faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
