"""Downloads over real connections that break off, from servers that misbehave."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from file_server import FileServer, serving

from hnas_nni.data.published_sets.disk import DiskFullError
from hnas_nni.data.published_sets.download import DownloadError
from hnas_nni.data.published_sets.download import download as _download

CONTENT = random.Random(0).randbytes(3_000_000)
download = partial(_download, backoff=0.01, progress=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving({"it.zip": CONTENT}) as running:
        yield running


def _leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(server: FileServer, tmp_path: Path) -> None:
    download(server.url("it.zip"), tmp_path / "it.zip", size=len(CONTENT))
    assert (tmp_path / "it.zip").read_bytes() == CONTENT
    assert _leftovers(tmp_path) == ["it.zip"]
    assert len(server.requests) == 1


def test_a_broken_transfer_goes_on_by_itself(server: FileServer, tmp_path: Path) -> None:
    server.drop_after = [1_000_000, 500_000]
    download(server.url("it.zip"), tmp_path / "it.zip", retries=1)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT
    assert [request.range for request in server.requests] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert sum(request.sent for request in server.requests) == len(CONTENT)


@pytest.mark.parametrize("named_by", ["etag", "date"])
def test_a_second_call_asks_only_for_the_rest(server: FileServer, tmp_path: Path, named_by: str) -> None:
    server.etag, server.dated = named_by == "etag", named_by == "date"
    server.drop_after = [1_234_567]
    with pytest.raises(DownloadError, match=r"broke off after 1,234,567 of 3,000,000 bytes.*1,234,567 bytes are kept"):
        download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert not (tmp_path / "it.zip").exists()
    download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT
    assert [request.status for request in server.requests] == [200, 206]
    assert [request.sent for request in server.requests] == [1_234_567, 3_000_000 - 1_234_567]


def _interrupt(server: FileServer, path: Path) -> None:
    server.drop_after = [1_000_000]
    with pytest.raises(DownloadError):
        download(server.url("it.zip"), path, retries=0)


def test_a_server_without_ranges_sends_all_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    _interrupt(server, tmp_path / "it.zip")
    download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT
    assert [request.status for request in server.requests] == [200, 200]


def test_a_file_that_changed_is_not_mixed_with_the_old(server: FileServer, tmp_path: Path) -> None:
    _interrupt(server, tmp_path / "it.zip")
    server.dated = False  # the ETag alone tells
    server.files["it.zip"] = changed = CONTENT[::-1]
    download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == changed


def test_bytes_without_a_version_are_not_resumed(server: FileServer, tmp_path: Path) -> None:
    server.etag = server.dated = False
    _interrupt(server, tmp_path / "it.zip")
    server.files["it.zip"] = changed = CONTENT[::-1]
    download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == changed
    assert server.requests[1].range is None


def test_bytes_of_another_address_are_not_resumed(server: FileServer, tmp_path: Path) -> None:
    _interrupt(server, tmp_path / "it.zip")
    server.files["mirror.zip"] = CONTENT[::-1]
    download(server.url("mirror.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT[::-1]


def test_a_part_that_was_complete_is_taken(server: FileServer, tmp_path: Path) -> None:
    """As after a kill between the last byte and the renaming."""
    _interrupt(server, tmp_path / "it.zip")
    (tmp_path / "it.zip.part").write_bytes(CONTENT)
    download(server.url("it.zip"), tmp_path / "it.zip", retries=0)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT
    assert (server.requests[1].status, server.requests[1].sent) == (416, 0)


def test_a_part_that_is_too_long_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    _interrupt(server, tmp_path / "it.zip")
    (tmp_path / "it.zip.part").write_bytes(CONTENT + b"more")
    download(server.url("it.zip"), tmp_path / "it.zip", retries=1)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    download(server.url("it.zip"), tmp_path / "it.zip", retries=2)
    assert [request.status for request in server.requests] == [503, 429, 200]
    with pytest.raises(DownloadError, match=r"nosuch\.zip: the server answers 404 Not Found; .* --url"):
        download(server.url("nosuch.zip"), tmp_path / "other.zip")
    assert len(server.requests) == 4
    assert _leftovers(tmp_path) == ["it.zip"]


def test_gives_up_when_nothing_comes_any_more(server: FileServer, tmp_path: Path) -> None:
    server.drop_after = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="1,000,000 bytes are kept"):
        download(server.url("it.zip"), tmp_path / "it.zip", retries=2)
    assert len(server.requests) == 3


@pytest.mark.parametrize("announces_size", [True, False])
@pytest.mark.parametrize("published", [2_999_999, 3_000_001])
def test_another_size_than_published_is_refused(
    server: FileServer, tmp_path: Path, announces_size: bool, published: int
) -> None:
    server.announces_size = announces_size
    with pytest.raises(DownloadError, match=f"has 3,000,000 bytes, but {published:,} are expected"):
        download(server.url("it.zip"), tmp_path / "it.zip", size=published)
    assert not (tmp_path / "it.zip").exists()


def test_a_published_size_tells_that_bytes_are_missing(server: FileServer, tmp_path: Path) -> None:
    """A server that does not announce its size ends a broken transfer as it ends a whole one."""
    server.announces_size = False
    server.drop_after = [2_000_000]
    download(server.url("it.zip"), tmp_path / "it.zip", size=len(CONTENT), retries=1)
    assert (tmp_path / "it.zip").read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_noticed_first(server: FileServer, tmp_path: Path) -> None:
    server.claimed_size = 10**18
    with pytest.raises(DiskFullError, match=r"needs 2,000,000,000\.00 GB of free disk, but there are [\d,.]+ [GM]B; "):
        download(server.url("it.zip"), tmp_path / "it.zip", space_factor=2)
    assert not (tmp_path / "it.zip").exists()


_WITH_A_QUOTA = """
import resource, sys
from pathlib import Path
from hnas_nni.data.published_sets.download import download
sys.dont_write_bytecode = True  # what Python compiles would be cut short and kept
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
try:
    download(sys.argv[1], Path(sys.argv[2]), progress=False)
except OSError as error:
    print(error)
"""


def test_a_disk_that_fills_up_keeps_what_has_come(server: FileServer, tmp_path: Path) -> None:
    """The operating system refuses to let the file grow, in a process of its own."""
    path = tmp_path / "it.zip"
    done = subprocess.run(
        [sys.executable, "-c", _WITH_A_QUOTA, server.url("it.zip"), str(path)], capture_output=True, text=True
    )
    assert f"{path}.part: no space left on the disk after 1,000,000 bytes; free some and run this again" in done.stdout
    download(server.url("it.zip"), path)
    assert path.read_bytes() == CONTENT
    assert server.requests[-1].range == "bytes=1000000-"


def test_no_server_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/it.zip"
        with pytest.raises(DownloadError) as caught:
            download(url, tmp_path / "it.zip", retries=1)
    assert str(caught.value) == (
        f"{url}: no server answers there (connection refused); check the network or proxy to 127.0.0.1 and run this "
        "again, or give a mirror with --url"
    )


def test_a_name_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"the host's name can't be resolved; check the network .* to no-such-host"):
        download("http://no-such-host.invalid/it.zip", tmp_path / "it.zip", retries=0)


@pytest.mark.parametrize("url", ["ftp://host/it.zip", "it.zip", "file:///etc/passwd"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not an http or https address"):
        download(url, tmp_path / "it.zip")
