"""Fetching sets: checksums, archives that are not what they should be, all or nothing."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from file_server import FileServer, serving
from image_archives import ARCHIVE, IMAGES, png, tgz_of, zip_of

from hnas_nni.data import DataError, load_pairs
from hnas_nni.data.published_sets.archives import ArchiveError
from hnas_nni.data.published_sets.catalogue import CATALOGUE, Archive, DataSet, find_set
from hnas_nni.data.published_sets.fetch import ChecksumError
from hnas_nni.data.published_sets.fetch import fetch as _fetch
from hnas_nni.data.published_sets.manifest import Manifest

fetch = partial(_fetch, progress=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving({"set.zip": ARCHIVE}) as running:
        yield running


@pytest.fixture
def small_set(server: FileServer) -> DataSet:
    """Three images in an archive of which nothing is published."""
    archive = Archive("Small", server.url("set.zip"), r"top/images/(?P<image>\d\.png)", {"": 3})
    return DataSet("Small", "three images", "here", "none", (archive,))


def _published(data_set: DataSet, **known: object) -> DataSet:
    return replace(data_set, archives=(replace(data_set.archives[0], **known),))


def test_the_images_alone_are_unpacked(small_set: DataSet, tmp_path: Path) -> None:
    (done,) = fetch(small_set, tmp_path / "new" / "sets")
    folder = tmp_path / "new" / "sets"
    assert (done.folder, done.images, done.sha256) == (folder / "Small", 3, hashlib.sha256(ARCHIVE).hexdigest())
    assert {path.name: path.read_bytes() for path in done.folder.iterdir()} == {
        Path(path).name: content for path, content in IMAGES.items()
    }
    assert sorted(path.name for path in folder.iterdir()) == ["Small", "checksums.json"]
    assert len(load_pairs(done.folder, 2)) == 3


def test_what_is_there_is_not_fetched_again(server: FileServer, small_set: DataSet, tmp_path: Path) -> None:
    fetch(small_set, tmp_path)
    (again,) = fetch(small_set, tmp_path)
    assert (again.images, again.sha256) == (0, None)
    assert len(server.requests) == 1
    (tmp_path / "Small" / "0.png").write_bytes(b"damaged")
    (anew,) = fetch(small_set, tmp_path, force=True)
    assert (anew.images, len(server.requests)) == (3, 2)
    assert (tmp_path / "Small" / "0.png").read_bytes() == IMAGES["top/images/0.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Small", "checksums.json"]


def test_a_folder_that_lacks_images_is_not_taken_for_the_set(small_set: DataSet, tmp_path: Path) -> None:
    (tmp_path / "Small").mkdir()
    with pytest.raises(DataError, match="Small: has 0 of the set's 3 images; --force fetches it anew"):
        fetch(small_set, tmp_path)
    assert fetch(small_set, tmp_path, force=True)[0].images == 3
    (tmp_path / "Small" / "1.png").unlink()
    with pytest.raises(DataError, match="has 2 of the set's 3 images"):
        fetch(small_set, tmp_path)


@pytest.mark.parametrize("whose", ["published", "given"])
def test_a_wrong_checksum_is_refused(small_set: DataSet, tmp_path: Path, whose: str) -> None:
    wrong = "0" * 64
    published = _published(small_set, sha256=wrong) if whose == "published" else small_set
    with pytest.raises(
        ChecksumError, match=f"{hashlib.sha256(ARCHIVE).hexdigest()}, but {wrong} is {whose}; it was rem"
    ):
        fetch(published, tmp_path, sha256=[wrong] if whose == "given" else [])
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(ARCHIVE).hexdigest().upper()
    (done,) = fetch(published, tmp_path, sha256=[right])
    assert done.images == 3


def test_an_unpublished_checksum_is_recorded_and_verified(
    server: FileServer, small_set: DataSet, tmp_path: Path
) -> None:
    fetch(small_set, tmp_path)
    recorded = Manifest(tmp_path).get(server.url("set.zip"))
    assert recorded is not None
    assert (recorded.sha256, recorded.size) == (hashlib.sha256(ARCHIVE).hexdigest(), len(ARCHIVE))
    server.files["set.zip"] = changed = zip_of({path: png(9 + seed) for seed, path in enumerate(IMAGES)})
    for path in sorted((tmp_path / "Small").iterdir()):
        path.unlink()
    (tmp_path / "Small").rmdir()
    with pytest.raises(ChecksumError, match=r"is recorded in .*checksums\.json \(--force takes the new archive\)"):
        fetch(small_set, tmp_path)
    assert not (tmp_path / "Small").exists()
    fetch(small_set, tmp_path, force=True)
    assert Manifest(tmp_path).get(server.url("set.zip")).sha256 == hashlib.sha256(changed).hexdigest()


def test_an_error_page_is_not_recorded(server: FileServer, small_set: DataSet, tmp_path: Path) -> None:
    server.files["set.zip"] = b"<!DOCTYPE html><title>This link is gone</title>"
    with pytest.raises(ArchiveError, match="neither a zip nor a tar archive; it begins with '<!DOCTYPE html"):
        fetch(small_set, tmp_path)
    server.files["set.zip"] = ARCHIVE
    assert fetch(small_set, tmp_path)[0].images == 3


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (ARCHIVE[:-30], "cut short or damaged"),
        (ARCHIVE[: len(ARCHIVE) // 2], "cut short or damaged"),
        (_flipped(ARCHIVE, len(ARCHIVE) // 2), "cut short or damaged"),
        (
            _flipped(zip_of(IMAGES, zipfile.ZIP_STORED), 2000),
            r"cut short or damaged \(the sum of top/images/0.png is wrong",
        ),
        (tgz_of(IMAGES)[:-1000], "cut short or damaged"),
        (_flipped(tgz_of(IMAGES), 4000), "cut short or damaged"),
        (b"", "neither a zip nor a tar archive"),
        (zip_of(dict(list(IMAGES.items())[:2])), "holds 2 images, but 3 are expected"),
        (zip_of({"top/images/../../../evil.png": b"", **IMAGES}), r"unsafe: it holds 'top/images/../../../evil.png'"),
        (zip_of({"/evil.png": b"", **IMAGES}), "unsafe: it holds '/evil.png'"),
        (tgz_of({"../evil.png": b"", **IMAGES}), r"unsafe: it holds '../evil.png'"),
        (zip_of({"C:\\evil.png": b"", **IMAGES}), "unsafe"),
    ],
)
def test_a_bad_archive_is_refused_and_leaves_nothing(
    server: FileServer, small_set: DataSet, tmp_path: Path, archive: bytes, message: str
) -> None:
    server.files["set.zip"] = archive
    with pytest.raises(ArchiveError, match=message) as caught:
        fetch(small_set, tmp_path / "sets")
    assert str(caught.value).endswith("; it was removed: fetch it again, or from a mirror with --url")
    assert list((tmp_path / "sets").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


def test_a_mirror_may_pack_otherwise(server: FileServer, small_set: DataSet, tmp_path: Path) -> None:
    server.files["mirror/set.tgz"] = tgz_of(IMAGES)
    (done,) = fetch(small_set, tmp_path, urls=[server.url("mirror/set.tgz")])
    assert done.images == 3
    assert [request.path for request in server.requests] == ["mirror/set.tgz"]


def test_an_archive_of_ones_own_is_taken_and_kept(server: FileServer, small_set: DataSet, tmp_path: Path) -> None:
    (tmp_path / "Small.zip").write_bytes(ARCHIVE)
    assert fetch(small_set, tmp_path)[0].images == 3
    assert server.requests == []
    assert (tmp_path / "Small.zip").read_bytes() == ARCHIVE
    (tmp_path / "Small.zip").write_bytes(b"nonsense")
    with pytest.raises(ChecksumError, match="remove it, and fetch it again"):
        fetch(_published(small_set, sha256=hashlib.sha256(ARCHIVE).hexdigest()), tmp_path, force=True)
    assert (tmp_path / "Small.zip").exists()


def test_catalogue_has_the_papers_sets_with_their_sizes() -> None:
    """Numbers of images as their papers give them; at each scale as many HR as LR images."""
    found = {
        name: [
            (archive.folder, *sorted({count // 2 if sub else count for sub, count in archive.images.items()}))
            for archive in entry.archives
        ]
        for name, entry in CATALOGUE.items()
    }
    assert found == {
        "DIV2K": [("DIV2K/DIV2K_train_HR", 800), ("DIV2K/DIV2K_valid_HR", 100)],
        "Set5": [("Set5", 5)],
        "Set14": [("Set14", 14)],
        "BSD100": [("BSD100", 100)],
        "Urban100": [("Urban100", 100)],
        "Manga109": [],
    }
    assert find_set("div2k") is CATALOGUE["DIV2K"]


def _as_published(archive: Archive) -> bytes:
    """An archive with the paths and numbers of the published one, and small images."""
    if archive.folder.startswith("DIV2K"):
        name = Path(archive.folder).name
        first = 1 if "train" in name else 801
        return zip_of({f"{name}/{first + index:04}.png": png(0, 16) for index in range(archive.images[""])})
    if archive.folder == "BSD100":
        test = {f"BSDS300/images/test/{index}.jpg": png(0, 32) for index in range(100)}
        train = {f"BSDS300/images/train/{1000 + index}.jpg": png(0, 16) for index in range(200)}
        return tgz_of({"BSDS300/iids_test.txt": b"", **train, **test})
    members = {}
    for folder, count in archive.images.items():
        scale = int(folder[-1])
        for index in range(1, count // 2 + 1):
            stem = f"{archive.folder}/{folder}/img_{index:03}_SRF_{scale}"
            for kind, size in (("HR", 24 * scale), ("LR", 24), ("bicubic", 24), ("SRCNN", 24)):
                members[f"{stem}_{kind}.png"] = png(0, size)
            members[f"__MACOSX/{archive.folder}/{folder}/._img_{index:03}_SRF_{scale}_HR.png"] = b"\0"
    return zip_of(members, zipfile.ZIP_STORED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DIV2K", "Set5", "Set14", "BSD100", "Urban100"])
def test_archives_of_the_published_shape_become_sets_that_load(name: str, tmp_path: Path) -> None:
    entry = find_set(name)
    content = [_as_published(archive) for archive in entry.archives]
    with serving({f"{index}.zip": archive for index, archive in enumerate(content)}) as server:
        urls = [server.url(f"{index}.zip") for index in range(len(content))]
        checksums = [hashlib.sha256(archive).hexdigest() for archive in content]
        fetch(entry, tmp_path, urls=urls, sha256=checksums)
    expected = {"DIV2K": 800, "Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100}[name]
    scales = (2, 4) if name == "Urban100" else (2, 3, 4)
    folder = tmp_path / ("DIV2K/DIV2K_train_HR" if name == "DIV2K" else name)
    for scale in scales:
        pairs = load_pairs(folder, scale, minimum_size=scale)
        assert len(pairs) == expected
        assert (Path(folder) / f"image_SRF_{scale}").exists() == (name in {"Set5", "Set14", "Urban100"})


def test_a_set_behind_a_registration_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Manga109: needs a registration with its authors, see http.*hnas data prepare"
    ):
        fetch(find_set("Manga109"), tmp_path)


def test_mirrors_are_one_for_each_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="DIV2K: consists of 2 archives, but --url is given 1 times"):
        fetch(find_set("DIV2K"), tmp_path, urls=["https://mirror.example/it.zip"])
    assert list(tmp_path.iterdir()) == []
