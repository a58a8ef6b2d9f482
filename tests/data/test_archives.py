"""Unpacking: all or nothing, and nothing that is no image of the archive."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from image_archives import zip_of

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
