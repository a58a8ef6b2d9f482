"""A download under way, as it lies on the disk."""

from __future__ import annotations

import json
from pathlib import Path

from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text


class PartialFile:
    """What has come of a file so far: ``<file>.part``, and in ``<file>.part.json`` of which version it is.

    Parameters
    ----------
    target
        The file, when all of it is there.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._notes = target.with_name(target.name + ".part.json")

    @property
    def length(self) -> int:
        """Number of bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str | None:
        """Return the server's name (ETag or Last-Modified) of the version that the bytes are of.

        None if it has none, or they are of another address.
        """
        try:
            notes = parse_json(read_text(self._notes))
            return notes["version"] if notes["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, url: str, version: str | None) -> None:
        """Forget the bytes, and note of which version the next ones are."""
        self.path.unlink(missing_ok=True)
        with replacing(self._notes) as temporary:
            temporary.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")

    def finish(self) -> None:
        """Give the file its name, once all of it is there."""
        self.path.replace(self.target)
        self._notes.unlink(missing_ok=True)
