"""Which pictures a command is to read, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """A picture, and where its result goes.

    Parameters
    ----------
    source
        The picture file.
    stem
        The file to write, without its ending, which follows from the format.
    """

    source: Path
    stem: Path

    def target(self, suffix: str | None) -> Path:
        """Return the file to write; without a suffix it keeps the ending of the picture."""
        return self.stem.with_name(self.stem.name + (_suffix(self.source) if suffix is None else suffix))


class Taken:
    """Files that may not be written: pictures that are still to be read, and results of others.

    Files are told apart as the file system tells them, so that links and names in upper case are no way around.

    Parameters
    ----------
    jobs
        All that is to be done.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._reasons = {_identity(job.source): "is one of the pictures to upscale" for job in jobs}

    def check(self, target: Path) -> None:
        """Raise FileExistsError if a target is one of these files."""
        if target.exists() and (reason := self._reasons.get(_identity(target))):
            raise FileExistsError(f"{target} {reason}; give another --out")

    def add(self, target: Path, source: Path) -> None:
        """Note the result of a picture."""
        self._reasons[_identity(target)] = f"is what {source} has become"


def jobs_of(sources: Sequence[Path], out: Path) -> list[Job]:
    """List pictures, and those in folders, and what to call their results in a folder.

    Raises
    ------
    FileNotFoundError
        If a file is missing, or a folder holds no pictures.
    ValueError
        If it is a device or a pipe, which may have no end.
    """
    return [job for source in sources for job in _jobs_of(source, out)]


def _jobs_of(source: Path, out: Path) -> Iterator[Job]:
    from hnas_nni.data.listing import images_below

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder; give picture files, or folders of them")
    if not source.is_dir():
        if not source.is_file():
            raise ValueError(f"{source}: not a regular file, but a device or a pipe; give picture files")
        yield Job(source, out / _stem(source).name)
        return
    found = False
    written = Path(os.path.realpath(out))  # not resolve(), which raises RuntimeError at links in a circle
    for path in sorted(images_below(source)):
        # What an earlier run wrote into a subfolder is not upscaled again.
        if written not in Path(os.path.realpath(path)).parents:
            found = True
            yield Job(path, out / _stem(path.relative_to(source)))
    if not found:
        raise FileNotFoundError(f"{source}: no pictures in this folder")


def _stem(path: Path) -> Path:
    """The path without the ending of a picture; what stands behind another dot is no ending."""
    return path.with_suffix("") if _suffix(path) else path


def _suffix(path: Path) -> str:
    from hnas_nni.data.opening import IMAGE_SUFFIXES

    return path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else ""


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
