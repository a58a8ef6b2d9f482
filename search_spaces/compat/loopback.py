"""NNI's web server for this machine alone: NNI 3.0 lets it listen on every interface, and it has no password.

NNI has no setting for it. The node that NNI brings along takes a file to load before NNI's own, and ours gives every
server that listens without a host the host 127.0.0.1. For nnictl the shell hands it over:

    export NODE_OPTIONS=$(python -m search_spaces.compat.loopback)

For experiments from Python see :class:`search_spaces.compat.experiment.MendedNasExperiment`.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces.compat.preload import VARIABLE, node_options

PRELOAD = Path(__file__).with_name("loopback_only.js")

_HOSTS = ("localhost", "127.0.0.1", "::1")
_URLS = "Web portal URLs"
_logger = logging.getLogger("nni.experiment")


def check_reachable(platform: str, manager: str | None) -> None:
    """Refuse an experiment whose trials would look for the web server from other machines.

    Parameters
    ----------
    platform
        NNI's training service.
    manager
        ``nniManagerIp``; by an ssh tunnel, ``ssh -R``, other machines reach 127.0.0.1 too.

    Raises
    ------
    ValueError
        If they would not find it.
    """
    if platform != "local" and manager not in _HOSTS:
        raise ValueError(
            f"loopback_only: trials of the training service {platform} reach NNI's manager from other machines; leave "
            "it out, or give nni_manager_ip 127.0.0.1 and tunnels (docs/several_machines.md)"
        )


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let an NNI manager that is started meanwhile listen on 127.0.0.1 alone, and NNI name that address alone."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = node_options(PRELOAD, before or "")
    _logger.addFilter(_name_loopback)
    try:
        yield
    finally:
        _logger.removeFilter(_name_loopback)
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _name_loopback(record: logging.LogRecord) -> bool:
    """Leave the addresses of other interfaces out of NNI's line."""
    if str(record.msg).startswith(_URLS):
        record.msg = " ".join(
            word for word in str(record.msg).split(" ") if "http://" not in word or any(host in word for host in _HOSTS)
        )
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(f"search_spaces.compat.loopback: error: {shlex.join(sys.argv[1:])}: takes no arguments")
    print(node_options(PRELOAD, os.environ.get(VARIABLE, "")))
