"""The server of weights that trials on several machines have in common, beside the tuner of an NNI experiment."""

from __future__ import annotations

import errno
import json
import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text
from strategies.nni_manager import address_for_machines

if TYPE_CHECKING:
    from hnas_nni.trial.weights_server import WeightsServer

TOKEN_FILE = "weights_server.json"
"""In the experiment's checkpoint folder, for nobody else to read: trials of before a resume know the token."""

_logger = logging.getLogger("nni.hnas")


def serve_weights(checkpoint: Path | None) -> tuple[WeightsServer, str] | None:
    """Start a server for trials on other machines, at the port after that of NNI's web server.

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
    from hnas_nni.trial.weights_server import WeightsServer

    host, port = place
    token = _token(checkpoint)
    try:
        try:
            server = WeightsServer(checkpoint.parent, host, port, token)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # The address that machines see is that of a router.
            server = WeightsServer(checkpoint.parent, "", port, token)
    except OSError as error:
        raise ValueError(
            f"common weights: can't listen on {host}:{port} ({error.strerror}); give another --port to nnictl, the one "
            "after it must be free too"
        ) from error
    _logger.info("trials have their weights in common at %s:%d", host, port)
    return server, f"{host}:{port}/{token}"


def _token(checkpoint: Path) -> str:
    """Return the experiment's token, made at the first time."""
    file = checkpoint / TOKEN_FILE
    try:
        return str(parse_json(read_text(file))["token"])
    except (OSError, ValueError, KeyError, TypeError):
        token = secrets.token_urlsafe(24)
        checkpoint.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps({"token": token}), encoding="utf-8")
        file.chmod(0o600)
        return token
