"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.part")

WRITE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What can go wrong in the middle of a file, where the system does not say in which one."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place at the end.

    A process that is killed, or a block that raises, leaves the old file as it was. The new one has the permissions
    that the umask gives, whatever wrote it: safetensors, for one, lets nobody but the owner read what it writes.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    OSError
        If it can't be written, of the disk being full for example; its `filename` is `path`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; create it, or give another place for {path.name}")
    # Not longer than most names: the file's own may be as long as the file system allows.
    temporary = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        permissions = _usual_permissions(temporary)
        yield temporary
        temporary.chmod(permissions)
        os.replace(temporary, path)
    except OSError as error:
        if _is_about(error, temporary):
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # on a file system that can't be written there is nothing to remove
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as :func:`replacing` does, in UTF-8; what is not, as a file's name may be, by its codes.

    Raises
    ------
    OSError
        As :func:`replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def is_temporary(path: Path) -> bool:
    """Whether a file is what :func:`replacing` left when its process was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def check_writable(folder: Path) -> None:
    """Check that files can be made in a folder, before the work for them begins.

    Parameters
    ----------
    folder
        The folder; one that is still to be made is made in the nearest one that is there.

    Raises
    ------
    PermissionError
        If they can't.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(f"{there}: nothing can be written to this folder; give another")


def _is_about(error: OSError, temporary: Path) -> bool:
    """Whether an error arose from writing the temporary file."""
    if error.filename is None:
        return error.errno in WRITE_ERRORS
    return os.fspath(error.filename) == os.fspath(temporary)


def _usual_permissions(path: Path) -> int:
    """Return the permissions of a new file at a path, by making one for a moment: only so threads are not disturbed."""
    path.touch()
    permissions = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return permissions
