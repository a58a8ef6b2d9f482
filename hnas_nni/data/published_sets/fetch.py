"""Fetching published image sets: download, check, unpack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hnas_nni.data.listing import DataError
from hnas_nni.data.opening import IMAGE_SUFFIXES
from hnas_nni.data.published_sets.archives import ArchiveError, unpack
from hnas_nni.data.published_sets.catalogue import Archive, DataSet
from hnas_nni.data.published_sets.download import download
from hnas_nni.data.published_sets.manifest import Manifest, Recorded, sha256_of

_ARCHIVE_AND_IMAGES = 2.0
"""Images do not shrink much in an archive, so both together take about twice its size."""


class ChecksumError(ValueError):
    """An archive that is not the one that was expected; the message names it."""


@dataclass(frozen=True)
class Fetched:
    """What became of one archive.

    Parameters
    ----------
    folder
        Where its images are.
    images
        How many were unpacked; 0 if the folder was there already.
    sha256
        Of the archive; None if the folder was there already.
    """

    folder: Path
    images: int
    sha256: str | None


def fetch(
    data_set: DataSet,
    folder: Path,
    *,
    urls: Sequence[str] = (),
    sha256: Sequence[str] = (),
    force: bool = False,
    keep_archives: bool = False,
    progress: bool = True,
) -> list[Fetched]:
    """Fetch a set; what is there already is left as it is, what was interrupted goes on.

    Parameters
    ----------
    data_set
        Which; see :data:`hnas_nni.data.published_sets.catalogue.CATALOGUE`.
    folder
        Where sets are kept; made if need be. The set comes to a folder of its name in it. An archive that lies there
        already, as ``Set5.zip``, is taken as it is instead of a download.
    urls
        Mirrors, one for each of the set's archives in their order; by default the official addresses.
    sha256
        What the archives' checksums must be, likewise; by default the published or recorded ones.
    force
        Fetch what is there anew, and take an archive other than the recorded one.
    keep_archives
        Keep the downloaded archives beside the sets.
    progress
        Show bars on standard error if that is a terminal.

    Raises
    ------
    DataError
        If the set can't be downloaded freely, mirrors or checksums are not one for each archive, or a folder of its
        name is there that lacks images.
    hnas_nni.data.published_sets.download.DownloadError
        If it can't be downloaded; what has come is kept for the next call.
    ChecksumError, ArchiveError
        If an archive is not what it should be. One that was downloaded now is removed.
    """
    check_request(data_set, urls, sha256)
    manifest = Manifest(folder)
    fetched = []
    for index, archive in enumerate(data_set.archives):
        target = folder / archive.folder
        if target.exists() and not force:
            _check_present(target, archive)
            fetched.append(Fetched(target, 0, None))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        url = urls[index] if urls else archive.url
        path = folder / (target.name + Path(urlsplit(url).path).suffix)
        downloads = not path.is_file()
        if downloads:
            download(
                url,
                path,
                size=None if urls else archive.size,
                space_factor=_ARCHIVE_AND_IMAGES,
                progress=progress,
            )
        given = sha256[index] if sha256 else None
        try:
            digest = _checked(path, url, archive, given, manifest, force)
            images = unpack(path, target, archive.members, archive.images, force=force, progress=progress)
        except (ArchiveError, ChecksumError) as error:
            if downloads:
                path.unlink()
            remedy = "it was removed: fetch it again" if downloads else "remove it, and fetch it again"
            raise type(error)(f"{error}; {remedy}, or from a mirror with --url") from error
        # Only now is it known to be no error page.
        manifest.put(url, Recorded(digest, path.stat().st_size))
        if downloads and not keep_archives:
            path.unlink()
        fetched.append(Fetched(target, images, digest))
    return fetched


def _check_present(folder: Path, archive: Archive) -> None:
    """Check that what is there is not a part of the set."""
    for subfolder, expected in archive.images.items():
        inside = folder / subfolder
        files = inside.iterdir() if inside.is_dir() else iter(())
        found = sum(file.suffix.lower() in IMAGE_SUFFIXES for file in files)
        if found < expected:
            raise DataError(f"{inside}: has {found} of the set's {expected} images; --force fetches it anew")


def check_request(data_set: DataSet, urls: Sequence[str] = (), sha256: Sequence[str] = ()) -> None:
    """Check that a set can be fetched so, before anything is done.

    Raises
    ------
    DataError
        If it can't.
    """
    if not data_set.archives:
        raise DataError(
            f"{data_set.name}: needs a registration with its authors, see {data_set.source}; then make LR/HR pairs of "
            f"the images they send you: hnas data prepare FOLDER --out {data_set.name}"
        )
    for option, values in (("--url", urls), ("--sha256", sha256)):
        if values and len(values) != len(data_set.archives):
            raise DataError(
                f"{data_set.name}: consists of {len(data_set.archives)} archives, but {option} is given "
                f"{len(values)} times; give it once for each, in the order of hnas data list"
            )


def _checked(path: Path, url: str, archive: Archive, given: str | None, manifest: Manifest, force: bool) -> str:
    """The archive's checksum, if it is as given, published or recorded."""
    found = sha256_of(path)
    recorded = manifest.get(url)
    if given is not None:
        expected, whose = given, "given"
    elif archive.sha256 is not None:
        expected, whose = archive.sha256, "published"
    elif recorded is not None and not force:
        expected, whose = recorded.sha256, f"recorded in {manifest.path} (--force takes the new archive)"
    else:
        expected, whose = found, "new"
    if found != expected.lower():
        raise ChecksumError(f"{path}: its SHA-256 is {found}, but {expected.lower()} is {whose}")
    return found
