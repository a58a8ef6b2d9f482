"""The server of weights: strangers, odd requests, trials that end at the same time, and a server that is gone."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hnas_nni import Genotype
from hnas_nni.trial import weights_client
from hnas_nni.trial.packed import pack
from hnas_nni.trial.shared_weights import FILE_NAME, CommonSharedWeights, SharedWeights
from hnas_nni.trial.weights_client import CommonWeights
from hnas_nni.trial.weights_server import MOST_BYTES, WeightsServer

TOKEN = "a-token-of-some-length"
STAGE = f"stages/{'0a' * 16}.pt"
SIZES = {"scale": 2, "channels": 2, "layers": 3}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WeightsServer]:
    folder = tmp_path / "experiment"
    folder.mkdir()
    server = WeightsServer(folder, "127.0.0.1", 0, TOKEN)
    yield server
    server.close()


def ask(server: WeightsServer, method: str, path: str, body: bytes | None = None) -> int:
    """Return the status of the answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/{path}", body, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


@pytest.mark.parametrize(
    "token", ["", "a-token-of-some-lengtH/", "a-token-of-some-lengt/", "/", "\u00e9/".encode().hex() + "/"]
)
def test_a_stranger_neither_reads_nor_writes(server: WeightsServer, token: str, tmp_path: Path) -> None:
    assert ask(server, "PUT", f"{TOKEN}/{STAGE}", b"weights") == 200
    assert ask(server, "GET", f"{token}{STAGE}") == 404
    assert ask(server, "PUT", f"{token}{STAGE}", b"others") == 404
    assert ask(server, "POST", f"{token}shared/merge", pack({}, [])) == 404
    (kept,) = [path for path in (tmp_path / "experiment").rglob("*") if path.is_file()]
    assert kept.read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", STAGE, None, 410),
        ("GET", "stages/../checkpoint/hierarchical_tuner.pt", None, 404),
        ("PUT", "stages/%2e%2e/x.pt", b"", 404),
        ("PUT", "stages/x.pt", b"", 404),
        ("DELETE", STAGE, None, 501),
        ("POST", "shared/read", b"no JSON", 400),
        ("POST", "shared/read", b'{"sizes": [2, 2, 3]}', 400),
        ("POST", "shared/merge", b"no message", 400),
        ("POST", "shared/merge", pack({"sizes": [2, 2, 3], "units": [["stem", 0]]}, [b"no tensors"]), 400),
        ("POST", "shared/merge", pack({"sizes": [2, 2, 3], "units": [["stem", 0]]}, []), 400),
    ],
)
def test_odd_requests_are_refused_and_leave_nothing(
    server: WeightsServer, method: str, path: str, body: bytes | None, status: int, tmp_path: Path
) -> None:
    assert ask(server, method, f"{TOKEN}/{path}", body) == status
    assert not list((tmp_path / "experiment").glob("**/*.pt")) and not list(tmp_path.glob("*.pt"))
    assert ask(server, "PUT", f"{TOKEN}/{STAGE}", b"weights") == 200  # it goes on


def test_a_request_that_breaks_off_leaves_what_was_there(server: WeightsServer, tmp_path: Path) -> None:
    assert ask(server, "PUT", f"{TOKEN}/{STAGE}", b"weights") == 200
    for length in (10, MOST_BYTES + 1):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"PUT /{TOKEN}/{STAGE} HTTP/1.1\r\nContent-Length: {length}\r\n\r\nhalf".encode())
            connection.shutdown(socket.SHUT_WR)
            assert b" 400 " in connection.makefile("rb").readline()
    files = [path for path in (tmp_path / "experiment").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"weights"]


def test_trials_that_trained_at_the_same_time_are_averaged(server: WeightsServer, tmp_path: Path) -> None:
    """As in one file: the one that comes second stores the mean of both."""
    genotype = Genotype.random(2, layers=SIZES["layers"])
    results = []
    for place in ("server", "file"):
        stores = []
        for number in (1.0, 2.0):
            common = CommonWeights(f"127.0.0.1:{server.port}/{TOKEN}")
            local = tmp_path / "one.sqlite"
            store = CommonSharedWeights(common, **SIZES) if place == "server" else SharedWeights(local, **SIZES)
            network = genotype.build(**SIZES)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.fill_(number)
            stores.append((store, network))
        for store, _ in stores:
            assert store.load_into(genotype.build(**SIZES)) == 0
        for store, network in stores:
            store.give_back(network)
        found = genotype.build(**SIZES)
        assert stores[0][0].load_into(found) > 0
        results.append(found.state_dict())
    for one, other in zip(*(result.values() for result in results), strict=True):
        assert torch.equal(one, other)
    assert len(SharedWeights(tmp_path / "experiment" / FILE_NAME, **SIZES)) > 0


def test_networks_of_other_sizes_do_not_share(server: WeightsServer) -> None:
    common = CommonWeights(f"127.0.0.1:{server.port}/{TOKEN}")
    genotype = Genotype.random(2, layers=SIZES["layers"])
    CommonSharedWeights(common, **SIZES).give_back(genotype.build(**SIZES))
    other = {**SIZES, "channels": 4}
    with pytest.raises(ValueError, match="holds weights for scale, channels, layers"):
        CommonSharedWeights(common, **other).load_into(genotype.build(**other))


def test_a_server_that_is_gone_is_named(server: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_client, "_PATIENCE", 0.0)
    common = CommonWeights(f"127.0.0.1:{server.port}/{TOKEN}")
    server.close()
    with pytest.raises(ValueError, match=rf"common weights at 127.0.0.1:{server.port}: can't be reached"):
        common.fetch(tmp_path / f"{'0a' * 16}.pt")


@pytest.mark.parametrize("address", ["", "host/token", "host:1", "host:1/", ":1/token", "host:one/token"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="weights_at: not an address"):
        CommonWeights(address)
