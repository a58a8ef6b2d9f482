"""Unpacking: all or nothing, and nothing that is no image of the archive."""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from image_archives import png, zip_of

from hnas_nni.data.published_sets.archives import ArchiveError, unpack
from hnas_nni.data.published_sets.disk import DiskFullError


def test_an_archive_whose_images_do_not_fit_is_kept(tmp_path: Path) -> None:
    """An archive of a few kilobytes that claims more bytes than any disk has."""
    free = shutil.disk_usage(tmp_path).free
    members = {f"{index}.png": b"" for index in range(free // (2**32 - 2) + 2)}
    archive = bytearray(zip_of(members, zipfile.ZIP_STORED))
    at = archive.index(b"PK\x01\x02")
    while at >= 0:
        archive[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
        at = archive.find(b"PK\x01\x02", at + 4)
    (tmp_path / "it.zip").write_bytes(archive)
    with pytest.raises(DiskFullError, match=r"unpacking it\.zip needs [\d,.]+ GB of free disk"):
        unpack(tmp_path / "it.zip", tmp_path / "it", r"(?P<image>.*)", {"": len(members)}, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["it.zip"]


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    """A link named as an image, that shows a file of the machine, is not taken for one."""
    with tarfile.open(tmp_path / "it.tar", "w") as file:
        link = tarfile.TarInfo("top/images/0.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    with pytest.raises(ArchiveError, match="holds 0 images, but 1 are expected"):
        unpack(tmp_path / "it.tar", tmp_path / "it", r"top/images/(?P<image>\d\.png)", {"": 1}, progress=False)


_UNPACK = """
import sys
from pathlib import Path
from hnas_nni.data.published_sets.archives import unpack
print("ready", flush=True)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), r"(?P<image>.*[.]png)", {"": 4000})
"""


def test_a_kill_while_unpacking_leaves_no_half_set(tmp_path: Path) -> None:
    archive, folder = tmp_path / "it.zip", tmp_path / "it"
    archive.write_bytes(zip_of({f"{index}.png": os.urandom(8192) for index in range(4000)}, zipfile.ZIP_STORED))
    process = subprocess.Popen([sys.executable, "-c", _UNPACK, str(archive), str(folder)], stdout=subprocess.PIPE)
    while process.poll() is None and len(list(tmp_path.glob(".it.*/*"))) < 50:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert len(list(tmp_path.glob(".it.*/*"))) >= 50
    assert unpack(archive, folder, r"(?P<image>.*[.]png)", {"": 4000}, progress=False) == 4000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "it.zip"]
    assert len(list(folder.iterdir())) == 4000


def _with_method(content: bytes, method: int) -> bytes:
    """Let a zip say that its members are packed in another way."""
    archive = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = archive.find(magic)
        while at >= 0:
            archive[at + offset : at + offset + 2] = method.to_bytes(2, "little")
            at = archive.find(magic, at + 4)
    return bytes(archive)


def _with_flag(content: bytes, flag: int) -> bytes:
    archive = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = archive.find(magic)
        while at >= 0:
            archive[at + offset] |= flag
            at = archive.find(magic, at + 4)
    return bytes(archive)


def _with_version(content: bytes, version: int) -> bytes:
    at = content.index(b"PK\x01\x02")
    return content[: at + 6] + version.to_bytes(2, "little") + content[at + 8 :]


def _tar_with_a_huge_header() -> bytes:
    """300 kB that unpack to a "name" of 300 MB."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 300 * 2**20
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(300 * 2**20), 1)


_SOUND = zip_of({"0.png": png(0)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_with_method(_SOUND, 9), "packed in a way that can't be unpacked here"),  # Deflate64
        (_with_method(_SOUND, 97), "packed in a way that can't be unpacked here"),
        (_with_version(_SOUND, 99), "packed in a way that can't be unpacked here"),
        (_with_flag(_SOUND, 1), "encrypted"),
        (_SOUND.replace(b"0.png", b"\xff.png").replace(b"\x00\x00\x08", b"\x00\x08\x08"), "cut short or damaged"),
        (bz2.compress(bytes(2000))[:-4] + b"none", "neither a zip nor a tar|cut short or damaged"),
    ],
    ids=["deflate64", "method_97", "version_99", "encrypted", "no_text_in_a_name", "bz2"],
)
def test_archives_of_odd_kinds_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "it.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=rf"it\.zip: .*({message})"):
        unpack(tmp_path / "it.zip", tmp_path / "it", r"(?P<image>.*)", {"": 1}, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["it.zip"]


def test_a_header_of_a_tar_does_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "it.tgz").write_bytes(_tar_with_a_huge_header())
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=r"it\.tgz: .*a header of 314572800 bytes"):
            unpack(tmp_path / "it.tgz", tmp_path / "it", r"(?P<image>.*)", {"": 1}, progress=False)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
