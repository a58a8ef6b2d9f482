"""Checksums of the archives that were fetched, so that a later fetch is known to give the same.

Most publishers of the benchmark images state no checksum. The first download is then taken as it is, and remembered
with the address it came from, in ``checksums.json`` beside the sets.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hnas_nni.data.listing import DataError
from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text

FILE_NAME = "checksums.json"


@dataclass(frozen=True)
class Recorded:
    """What is remembered of an archive.

    Parameters
    ----------
    sha256
        In hexadecimal digits.
    size
        In bytes.
    """

    sha256: str
    size: int


class Manifest:
    """The remembered archives of a folder of sets.

    Parameters
    ----------
    folder
        Where the sets are.

    Raises
    ------
    DataError
        If there is a file of that name which can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def get(self, url: str) -> Recorded | None:
        """Return what is remembered of an address."""
        return self._read().get(url)

    def put(self, url: str, recorded: Recorded) -> None:
        """Remember an archive, at once and on the disk."""
        entries = self._read() | {url: recorded}
        document = {"archives": {known: asdict(entry) for known, entry in sorted(entries.items())}}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, Recorded]:
        try:
            document = parse_json(read_text(self.path))
            return {
                url: Recorded(str(entry["sha256"]), int(entry["size"])) for url, entry in document["archives"].items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path}: damaged; remove it, the checksums are then recorded anew") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
