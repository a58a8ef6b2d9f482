"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there takes its place at the end.

    A process that is killed, or a block that raises, leaves the old file as it was. The new one has the permissions
    that the umask gives, whatever wrote it: safetensors, for one, lets nobody but the owner read what it writes.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; create it, or give another place for {path.name}")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        permissions = _usual_permissions(temporary)
        yield temporary
        temporary.chmod(permissions)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _usual_permissions(path: Path) -> int:
    """Return the permissions of a new file at a path, by making one for a moment: only so threads are not disturbed."""
    path.touch()
    permissions = stat.S_IMODE(path.stat().st_mode)
    path.unlink()
    return permissions
