"""Taking the images out of a downloaded archive: checked, counted, and all of them or none."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tqdm import tqdm

from hnas_nni.data.published_sets.disk import DiskFullError, check_free_space
from hnas_nni.files import WRITE_ERRORS

_UNPACKING = ".unpacking"
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_MOST_HEADER = 2**20
"""Bytes of a header of a member, e.g. its long name, which tarfile reads in one piece."""


class ArchiveError(ValueError):
    """An archive that is damaged, unsafe, or does not hold what it should; the message names it."""


class _Member(NamedTuple):
    path: str
    size: int
    entry: zipfile.ZipInfo | tarfile.TarInfo


class _TarInfo(tarfile.TarInfo):
    """Of a tar whose headers are no larger than they need be: compressed, small files can hold huge ones."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _MOST_HEADER:
            raise ValueError(f"it has a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


class _Archive:
    """A zip or tar file, read alike. Links and special files in it count as not there."""

    def __init__(self, file: zipfile.ZipFile | tarfile.TarFile) -> None:
        self._file = file

    def members(self) -> list[_Member]:
        if isinstance(self._file, zipfile.ZipFile):
            return [_Member(info.filename, info.file_size, info) for info in self._file.infolist() if not info.is_dir()]
        return [_Member(info.name, info.size, info) for info in self._file.getmembers() if info.isfile()]

    def open(self, member: _Member) -> IO[bytes]:
        if isinstance(self._file, zipfile.ZipFile):
            assert isinstance(member.entry, zipfile.ZipInfo)
            return self._file.open(member.entry)
        assert isinstance(member.entry, tarfile.TarInfo)
        stream = self._file.extractfile(member.entry)
        assert stream is not None  # of a regular file
        return stream

    def check(self) -> None:
        """Check the sums of all members, also of those that are not taken."""
        if isinstance(self._file, zipfile.ZipFile):
            if (bad := self._file.testzip()) is not None:
                raise zipfile.BadZipFile(f"the sum of {bad} is wrong")
        elif (stream := self._file.fileobj) is not None:
            # A tar has no sums, but its compression has one at its end, behind all that tarfile reads.
            stream.seek(0)
            while stream.read(1 << 20):
                pass


def unpack(
    path: Path,
    folder: Path,
    members: str,
    images: Mapping[str, int],
    *,
    force: bool = False,
    progress: bool = True,
) -> int:
    """Take images out of a zip or tar archive; the folder appears when all of them are there.

    Parameters
    ----------
    path
        The archive.
    folder
        Where the images go. The folder it lies in must exist.
    members
        Pattern of the paths that are taken; its group ``image`` is the path within `folder`.
    images
        How many images each subfolder must get ("" is `folder` itself).
    force
        Replace a folder that exists.
    progress
        Show a bar on standard error if that is a terminal.

    Returns
    -------
    int
        How many images were taken.

    Raises
    ------
    ArchiveError
        If the archive is damaged, has members that point out of the folder, or other images than it should.
    FileExistsError
        If the folder exists and `force` is not given.
    DiskFullError
        If there is too little space; the archive is kept.
    """
    if folder.exists() and not force:
        raise FileExistsError(f"{folder}: exists already; give another folder, or --force to replace it")
    remove_leftovers(folder)
    with _opened(path) as archive:
        taken = _chosen(path, archive.members(), re.compile(members))
        _check_counts(path, taken, images)
        check_free_space(folder.parent, sum(member.size for member in taken.values()), f"unpacking {path.name}")
        archive.check()
        temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_UNPACKING}")
        try:
            bar = tqdm(taken.items(), desc=f"unpacking {path.name}", unit="image", disable=None if progress else True)
            for target, member in bar:
                (temporary / target).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(temporary / target, "xb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
            _put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return len(taken)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed calls of :func:`unpack` for this folder have left."""
    for leftover in folder.parent.glob(f".{folder.name}.*{_UNPACKING}"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    try:
        with open(path, "rb") as file:
            start = file.read(64)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zip_file:
                yield _Archive(zip_file)
        elif start.startswith(b"PK"):
            raise zipfile.BadZipFile("its end is missing")
        else:
            with tarfile.open(path, tarinfo=_TarInfo) as tar_file:
                yield _Archive(tar_file)
    except tarfile.ReadError as error:
        if start.startswith(b"\x1f\x8b"):
            raise ArchiveError(f"{path}: the archive is cut short or damaged ({error})") from error
        raise ArchiveError(f"{path}: neither a zip nor a tar archive; it begins with {_readable(start)}") from error
    except ArchiveError:
        raise
    except OSError as error:
        if error.filename is not None or isinstance(error, DiskFullError):
            raise
        if error.errno in WRITE_ERRORS:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path.parent)) from error
        raise ArchiveError(f"{path}: the archive is cut short or damaged ({error})") from error
    except NotImplementedError as error:
        raise ArchiveError(f"{path}: packed in a way that can't be unpacked here ({error})") from error
    except Exception as error:  # what damaged and encrypted archives lead to is of many types
        if "encrypted" in str(error):
            raise ArchiveError(f"{path}: encrypted ({error})") from error
        raise ArchiveError(f"{path}: the archive is cut short or damaged ({error or type(error).__name__})") from error


def _readable(start: bytes) -> str:
    return repr(start[:24].decode("ascii", "replace"))


def _chosen(path: Path, members: list[_Member], pattern: re.Pattern[str]) -> dict[str, _Member]:
    """The members to take, by their place in the folder."""
    chosen: dict[str, _Member] = {}
    for member in members:
        parts = PurePosixPath(member.path.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", member.path):
            raise ArchiveError(f"{path}: unsafe: it holds {member.path!r}, which points out of the folder")
        if match := pattern.fullmatch(parts.as_posix()):
            if match["image"] in chosen:
                raise ArchiveError(f"{path}: holds {match['image']} twice")
            chosen[match["image"]] = member
    return dict(sorted(chosen.items()))


def _check_counts(path: Path, taken: Mapping[str, _Member], images: Mapping[str, int]) -> None:
    found = Counter("" if (parent := str(PurePosixPath(target).parent)) == "." else parent for target in taken)
    for subfolder, expected in images.items():
        if found[subfolder] != expected:
            where = f" for {subfolder}" if subfolder else ""
            raise ArchiveError(
                f"{path}: holds {found[subfolder]} images{where}, but {expected} are expected; it is another archive"
            )


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename the whole folder; an old one stands aside until the new one is there."""
    if not folder.exists():
        temporary.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_UNPACKING}")
    folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
