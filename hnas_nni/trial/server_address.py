"""Where the trials of an experiment meet their server: a socket in a folder that nobody else can enter.

What :mod:`hnas_nni.trial.client` imports pays off only if it is little: this module and
:mod:`hnas_nni.trial.server_request` take nothing from outside the standard library, and of that what is small.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct


class NoServerError(Exception):
    """Why a trial has to run in its own process."""


def socket_path(experiment: str) -> str:
    """Return the path of an experiment's socket, after making sure that its folder is private.

    The folder is that for temporary files and not the experiment's, whose path may be longer than the 107 bytes of a
    socket's, and may lie on a disk that has no sockets.

    Raises
    ------
    NoServerError
        If the folder can't be made, or is another user's.
    """
    if not re.fullmatch(r"[\w-]+", experiment):
        raise NoServerError(f"experiment {experiment!r} has a name that no file can have")
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"hnas-trials-{os.geteuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.lstat(folder)
    except OSError as error:
        raise NoServerError(str(error)) from error
    # Anybody may make a folder of this name in a folder for temporary files.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise NoServerError(f"{folder}: is not a folder of this user alone")
    return os.path.join(folder, f"{experiment}.socket")


def check_same_user(connection: socket.socket) -> None:
    """Make sure that the other end of a connection is a process of the same user.

    Raises
    ------
    NoServerError
        If it is another's.
    """
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    if user != os.geteuid():
        raise NoServerError(f"user {user} is at the other end, not {os.geteuid()}")
