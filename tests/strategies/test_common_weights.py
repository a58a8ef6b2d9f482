"""Where the tuner's server of weights listens, before and after a resume."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from nni import dump, load
from nni_experiment import free_port

from hnas_nni.trial.weights_client import CommonWeights
from strategies import common_weights
from strategies.common_weights import TOKEN_FILE, serve_weights


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port after that of the web server, of an experiment whose trials run elsewhere."""
    port = free_port()
    monkeypatch.setattr(common_weights, "address_for_machines", lambda: ("127.0.0.1", port))
    return port


def start(checkpoint: Path) -> str:
    """Return the address of a server that listened."""
    started = serve_weights(checkpoint)
    assert started is not None
    server, address = started
    CommonWeights(load(dump({"at": address}))["at"])  # it comes through NNI's messages as it is
    server.close()
    return address


def test_trials_of_before_a_resume_find_it_again(usual: int, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    first = start(checkpoint)
    assert first.startswith(f"127.0.0.1:{usual}/")
    assert len(first.partition("/")[2]) >= 32
    assert start(checkpoint) == first
    assert stat.S_IMODE((checkpoint / TOKEN_FILE).stat().st_mode) == 0o600
    assert start(tmp_path / "other" / "checkpoint").partition("/")[2] != first.partition("/")[2]


def test_it_takes_another_port_where_somebody_has_it(usual: int, tmp_path: Path) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", usual))
        somebody.listen()
        other = start(tmp_path)
    assert not other.startswith(f"127.0.0.1:{usual}/")
    assert start(tmp_path) == other  # also when the usual one is free again


def test_there_is_none_where_trials_run_on_this_machine(tmp_path: Path) -> None:
    assert serve_weights(tmp_path) is None
    assert not list(tmp_path.iterdir())
