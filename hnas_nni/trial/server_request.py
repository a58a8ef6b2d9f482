"""What a trial's process hands to the server, so that the trial finds there all that it would have found here."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import hnas_nni

_OF_ONE_TRIAL = frozenset(
    {"CUDA_VISIBLE_DEVICES", "HNAS_OPERATIONS", "MULTI_PHASE", "REUSE_MODE", "PWD", "OLDPWD", "SHLVL", "_"}
)
"""Variables that may be others in each trial, as nothing reads them before it begins; so may NNI's own, ``NNI_...``."""


@dataclass(frozen=True)
class TrialRequest:
    """The process that a trial is to be like.

    Parameters
    ----------
    arguments
        The command line's, without the program.
    environment
        Environment variables.
    folder
        Working directory.
    import_folder
        What Python put first into its search path.
    umask
        Permissions that new files do not get.
    traits
        See :func:`traits_of_this_process`.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    import_folder: str
    umask: int
    traits: dict[str, Any]

    @classmethod
    def of_this_process(cls) -> TrialRequest:
        """Describe the process that this is."""
        umask = os.umask(0o077)
        os.umask(umask)
        return cls(sys.argv[1:], dict(os.environ), os.getcwd(), sys.path[0], umask, traits_of_this_process())

    @property
    def lasting(self) -> dict[str, Any]:
        """What a process can't change any more when Python and torch have started in it, by name."""
        return {**self.traits, **lasting_environment(self.environment)}

    def send(self, connection: socket.socket) -> None:
        """Send the request and the three standard streams, in one message however large the environment is."""
        with open(os.memfd_create("trial"), "w", encoding="ascii") as file:
            json.dump(asdict(self), file)
            file.flush()
            socket.send_fds(connection, [b"trial"], [0, 1, 2, file.fileno()])

    @classmethod
    def receive(cls, connection: socket.socket) -> tuple[TrialRequest, list[int]]:
        """Read what :meth:`send` sent; returns it and the streams' descriptors.

        Raises
        ------
        ValueError
            If it is something else, or nothing because the other process has ended.
        """
        message, descriptors, _, _ = socket.recv_fds(connection, 16, 4)
        if message != b"trial" or len(descriptors) != 4:
            for descriptor in descriptors:
                os.close(descriptor)
            raise ValueError(f"not a trial's request: {message!r}")
        with open(descriptors[3], encoding="ascii") as file:
            file.seek(0)
            return cls(**json.load(file)), descriptors[:3]


def traits_of_this_process() -> dict[str, Any]:
    """Return what a process gets from the one that starts it, beside its environment, by name."""
    import resource  # not on Windows

    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {
        "Python": [sys.executable, *interpreter_options()],
        "package": os.path.dirname(hnas_nni.__file__),
        "cores": sorted(os.sched_getaffinity(0)),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        **{name: list(resource.getrlimit(getattr(resource, name))) for name in limits},
    }


def interpreter_options() -> list[str]:
    """Return what stands between ``python`` and ``-m hnas_nni.trial`` on this process's command line."""
    words = sys.orig_argv[1:]
    return words[: words.index("-m")] if "-m" in words else words


def lasting_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Python, OpenMP or torch may read as they start."""
    return {
        name: value for name, value in environment.items() if name not in _OF_ONE_TRIAL and not name.startswith("NNI_")
    }
