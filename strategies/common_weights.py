"""The server of weights that trials on several machines have in common, beside the tuner of an NNI experiment."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.foreign_text import parse_json, read_text
from strategies.nni_manager import address_for_machines

if TYPE_CHECKING:
    from hnas_nni.trial.weights_server import WeightsServer

TOKEN_FILE = "weights_server.json"
"""In the experiment's checkpoint folder, for nobody else to read: trials of before a resume know token and port."""

_logger = logging.getLogger("nni.hnas")


def serve_weights(checkpoint: Path | None) -> tuple[WeightsServer, str] | None:
    """Start a server for trials on other machines, at the port after that of NNI's web server.

    After a resume it is at the port that it had before. Where others have both, it takes any that is free.

    Parameters
    ----------
    checkpoint
        The experiment's checkpoint folder.

    Returns
    -------
    server, address
        The server, and what trials are told; None where trials run on this machine, or without a manager.

    Raises
    ------
    ValueError
        If it can't listen there.
    """
    place = address_for_machines()
    if place is None or checkpoint is None:
        return None
    host, usual = place
    token, before = _kept(checkpoint)
    for port in (before or usual, usual, 0):
        try:
            server = _listen(checkpoint.parent, host, port, token)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == 0:
                raise ValueError(f"common weights: can't listen on {host}:{port} ({error.strerror})") from error
    _keep(checkpoint, token, server.port)
    level = logging.INFO if server.port == usual else logging.WARNING
    _logger.log(level, "trials have their weights in common at %s:%d", host, server.port)
    return server, f"{host}:{server.port}/{token}"


def _listen(folder: Path, host: str, port: int, token: str) -> WeightsServer:
    """Start a server at an address that machines see, which may be that of a router."""
    from hnas_nni.trial.weights_server import WeightsServer

    try:
        return WeightsServer(folder, host, port, token)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        return WeightsServer(folder, "", port, token)


def _kept(checkpoint: Path) -> tuple[str, int | None]:
    """Return the experiment's token, a new one at the first time, and the port of the session before."""
    try:
        kept = parse_json(read_text(checkpoint / TOKEN_FILE))
        return str(kept["token"]), int(kept["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return secrets.token_urlsafe(24), None


def _keep(checkpoint: Path, token: str, port: int) -> None:
    """Keep token and port, at no moment for anybody else to read."""
    checkpoint.mkdir(parents=True, exist_ok=True)
    temporary = checkpoint / f".{TOKEN_FILE}.part"
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"token": token, "port": port}, file)
    os.replace(temporary, checkpoint / TOKEN_FILE)
