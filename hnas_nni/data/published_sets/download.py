"""Downloading one large file over HTTP so that an interruption costs only what is missing.

The rest of a file is asked for by a range, which the server grants only if its file is still the same (If-Range, RFC
9110); otherwise it sends all of it again.
"""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from hnas_nni.data.published_sets.disk import check_free_space
from hnas_nni.data.published_sets.partial_file import PartialFile

_LOGGER = logging.getLogger(__name__)
_CHUNK = 1 << 18
_TIMEOUT = (15, 60)
"""Seconds to wait for a connection, and for the next bytes."""
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-\d+/(?P<size>\d+|\*)")
_HEADERS = {"User-Agent": "hnas-nni", "Accept-Encoding": "identity"}


class DownloadError(OSError):
    """A file that could not be downloaded; the message names address, reason and remedy."""


class _InterruptedError(Exception):
    """A transfer that broke off and may go better next time."""


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    space_factor: float = 1.0,
    retries: int = 4,
    backoff: float = 1.0,
    progress: bool = True,
) -> None:
    """Download a file, going on where an earlier call was interrupted.

    Parameters
    ----------
    url
        An http or https address.
    path
        The file; it appears when all of it has come. Its folder must exist.
    size
        Its bytes, if known; the server must then announce the same.
    space_factor
        How many times the file's size must be free on the disk, less what has come already.
    retries
        How often a transfer in which nothing comes any more is tried again; a transfer that brings bytes counts anew.
    backoff
        Seconds before the first such try; each further one waits twice as long.
    progress
        Show a bar on standard error if that is a terminal.

    Raises
    ------
    DownloadError
        If the server can't be reached, refuses, sends another size, or the disk gets full. What has come is kept.
    DiskFullError
        If the disk has too little space to begin with.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(f"{url}: not an http or https address; give one that begins with https://")
    part = PartialFile(path)
    failures = 0
    furthest = part.length
    with requests.Session() as session:
        while True:
            try:
                _transfer(session, url, part, size, space_factor, progress)
                break
            except _InterruptedError as interruption:
                failures = 1 if part.length > furthest else failures + 1
                furthest = max(furthest, part.length)
                if failures > retries:
                    raise DownloadError(_gave_up(url, interruption, part)) from interruption
                wait = backoff * 2 ** (failures - 1)
                _LOGGER.warning("%s: %s; trying again in %g s", url, interruption, wait)
                time.sleep(wait)
            except requests.RequestException as error:  # a malformed address, endless redirects
                raise DownloadError(f"{url}: {_reason(error)}") from error
            except OSError as error:
                if error.errno not in _NO_SPACE:
                    raise
                raise DownloadError(
                    f"{part.path}: no space left on the disk after {part.length:,} bytes; free some and run this "
                    "again: it goes on from there"
                ) from error
    part.finish()


def _transfer(
    session: requests.Session, url: str, part: PartialFile, size: int | None, space_factor: float, progress: bool
) -> None:
    """Make one request, and append what comes."""
    version = part.version(url)
    offset = part.length if version else 0
    headers = dict(_HEADERS)
    if offset and version:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    try:
        response = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _InterruptedError(_reason(error)) from error
    with response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and offset:
            if response.headers.get("Content-Range") == f"bytes */{offset}":
                _check_size(url, offset, size)
                return  # all of it was there
            part.begin(url, None)
            raise _InterruptedError("the server's file is shorter than what has come; starting again")
        _check_status(url, response)
        resumed = response.status_code == requests.codes.partial_content
        if resumed:
            total = _resumed_size(url, response, offset)
        else:
            offset = 0
            total = _number(response.headers.get("Content-Length"))
        _check_size(url, total, size)
        if not resumed:
            part.begin(url, _version(response.headers))
        total = size if total is None else total
        check_free_space(part.path.parent, (total or 0) * space_factor - offset, f"all of {part.target.name}")
        _append(response, part, total, offset, progress)
    if total is not None and part.length > total:
        _check_size(url, part.length, total)
    if total is not None and part.length < total:
        raise _InterruptedError(f"the connection broke off after {part.length:,} of {total:,} bytes")


def _append(response: requests.Response, part: PartialFile, total: int | None, offset: int, progress: bool) -> None:
    with (
        open(part.path, "ab") as file,
        tqdm(
            desc=part.target.name,
            total=total,
            initial=offset,
            unit="B",
            unit_scale=True,
            disable=None if progress else True,
        ) as bar,
    ):
        try:
            # What requests itself iterates over loses the last bytes before a connection breaks off.
            while chunk := response.raw.read1(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        except HTTPError as error:
            file.flush()
            raise _InterruptedError(
                f"the connection broke off after {part.length:,}{f' of {total:,}' if total else ''} bytes"
            ) from error


def _check_size(url: str, found: int | None, expected: int | None) -> None:
    if found is not None and expected is not None and found != expected:
        raise DownloadError(
            f"{url}: the server's file has {found:,} bytes, but {expected:,} are expected; it is another file, "
            "or an error page; try a mirror with --url"
        )


def _check_status(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in _TRY_AGAIN:
        raise _InterruptedError(f"the server answers {status} {response.reason}")
    if status not in {200, 206}:
        raise DownloadError(
            f"{url}: the server answers {status} {response.reason}; look up the address, or give a mirror with --url"
        )


def _resumed_size(url: str, response: requests.Response, offset: int) -> int | None:
    """Size of the whole file, from the answer to a request for a range."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or int(match["first"]) != offset:
        raise DownloadError(f"{url}: the server sends another range than byte {offset:,} on; remove the .part file")
    return _number(match["size"])


def _version(headers: Mapping[str, str]) -> str | None:
    """What If-Range may name: a strong ETag, or else the date of the last change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _reason(error: Exception) -> str:
    """What went wrong, without the nested representations of the libraries below."""
    cause: Any = error
    while (args := getattr(cause, "args", ())) and isinstance(inner := getattr(args[0], "reason", args[0]), Exception):
        cause = inner
    if "NameResolution" in type(cause).__name__ or "getaddrinfo" in str(cause):
        return "the host's name can't be resolved"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    text = str(cause)
    if "onnection refused" in text:
        return "no server answers there (connection refused)"
    return text.split(": ", 1)[-1] if text else type(cause).__name__


def _gave_up(url: str, interruption: _InterruptedError, part: PartialFile) -> str:
    kept = f" ({part.length:,} bytes are kept)" if part.length else ""
    return (
        f"{url}: {interruption}; check the network or proxy to {urlsplit(url).hostname} and run this again{kept}, "
        "or give a mirror with --url"
    )
