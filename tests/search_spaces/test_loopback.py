"""NNI's web server for this machine alone: what the preload makes of node's servers, and who may ask for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import nni_node
import pytest
from nni.nas.experiment import NasExperimentConfig
from nni.nas.strategy import Random

from hnas_nni.trial.evaluator import SuperResolution
from search_spaces import HNASSpace, MendedNasExperiment
from search_spaces.compat.loopback import PRELOAD, loopback_only
from search_spaces.compat.preload import VARIABLE, node_options

NODE = Path(nni_node.__path__[0], "node.exe" if sys.platform == "win32" else "node")
SERVERS = """
const http = require("http");
(async () => {
    for (const given of [[0], ["0"], [{ port: 0 }], [0, "0.0.0.0"], [{ port: 0, host: "0.0.0.0" }], []]) {
        const server = http.createServer();
        await new Promise((started) => server.listen(...given, started));
        console.error(server.address().address);
        server.close();
    }
    const server = http.createServer();
    await new Promise((started) => server.listen("socket", started));
    console.error(server.address());
    server.close();
})();
"""
ASKED_FOR = "0.0.0.0"


def listening(script: Path, variables: dict[str, str]) -> list[str]:
    """Return where the servers of a script listen that bears a program's name."""
    script.parent.mkdir(parents=True)
    script.write_text(SERVERS)
    run = subprocess.run(
        [NODE, script], cwd=script.parent, env={**os.environ, **variables}, check=True, capture_output=True, text=True
    )
    return run.stderr.split()


@pytest.fixture
def variables() -> dict[str, str]:
    """What the documented line puts into the environment."""
    command = [sys.executable, "-m", "search_spaces.compat.loopback"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return {VARIABLE: shown}


@pytest.mark.parametrize("script", ["nni_node/main.js", "nni_node/common/trial_keeper/main.js"])
def test_servers_of_nni_listen_on_loopback(script: str, variables: dict[str, str], tmp_path: Path) -> None:
    found = listening(tmp_path / script, variables)
    assert found == ["127.0.0.1", "127.0.0.1", "127.0.0.1", ASKED_FOR, ASKED_FOR, "127.0.0.1", "socket"]


def test_other_programs_of_node_are_left_alone(variables: dict[str, str], tmp_path: Path) -> None:
    found = listening(tmp_path / "other" / "main.js", variables)
    assert found == listening(tmp_path / "without" / "main.js", {VARIABLE: ""})
    assert "127.0.0.1" not in found


def test_a_folder_of_any_name_will_do(tmp_path: Path) -> None:
    """Node takes quotes and backslashes in its options for its own."""
    folder = tmp_path / 'a "b" \\c'
    folder.mkdir()
    preload = folder / "loopback_only.js"
    preload.write_bytes(PRELOAD.read_bytes())
    variables = {VARIABLE: node_options(preload, "--no-warnings")}
    assert listening(tmp_path / "nni_node" / "main.js", variables)[0] == "127.0.0.1"


def test_the_environment_is_as_before_and_nni_names_no_other_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "--no-warnings")
    logger = logging.getLogger("nni.experiment")
    line = "Web portal URLs: ${CYAN}http://127.0.0.1:8080 http://192.0.2.7:8080"
    with caplog.at_level(logging.INFO, "nni.experiment"):
        with loopback_only():
            assert os.environ[VARIABLE].startswith("--no-warnings --require=")
            logger.info(line)
        logger.info(line)
    assert os.environ[VARIABLE] == "--no-warnings"
    assert [record.message for record in caplog.records] == [line.removesuffix(" http://192.0.2.7:8080"), line]


def test_trials_elsewhere_could_not_reach_it(tmp_path: Path) -> None:
    """Refused before anything is started."""
    key = tmp_path / "key"
    key.touch()
    machine = {"host": "192.0.2.7", "user": "somebody", "sshKeyFile": str(key)}
    service = {"platform": "remote", "machineList": [machine]}
    config = NasExperimentConfig("ts", "simplified", **json.loads(json.dumps({"trainingService": service})))
    config.trial_concurrency, config.nni_manager_ip = 1, "192.0.2.1"
    config.experiment_working_directory = tmp_path
    experiment = MendedNasExperiment(HNASSpace(), SuperResolution(), Random(), config, loopback_only=True)
    with pytest.raises(ValueError, match=r"loopback_only: .* remote .* 127.0.0.1 and tunnels"):
        experiment.start()
    assert list(tmp_path.iterdir()) == [key]
