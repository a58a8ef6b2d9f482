"""What is told of an experiment that ended before its first trial, from lines that NNI's own logger writes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import nni_node
import pytest

from hnas_nni.searches import Experiment, ExperimentError

NODE_FOLDER = Path(nni_node.__path__[0])
LOG = """
const [root, file, lines] = process.argv.slice(2);
require(root + "/node_modules/app-module-path").addPath(root);
const { initGlobalsCustom } = require(root + "/common/globals");
const none = { pythonInterpreter: "", platform: "", environmentId: "", managerCommandChannel: "", urlPrefix: "" };
const given = { experimentsDirectory: "/tmp", experimentId: ".", logLevel: "info", port: 0, action: "view", mode: "" };
initGlobalsCustom({ ...none, ...given, foreground: false, tunerCommandChannel: null }, file);
const { getLogger } = require(root + "/common/log");
for (const [level, name, ...words] of JSON.parse(lines)) {
    getLogger(name)[level](...words.map((word) => (word && word.error ? new Error(word.error) : word)));
}
setTimeout(() => process.exit(0), 100);
"""
MACHINES = [
    {"host": "gpu1", "port": 22, "user": "ann", "sshKeyFile": "/keys/one", "pythonPath": "/env/bin"},
    {"host": "gpu2", "port": 2222, "user": "ann", "sshKeyFile": "/keys/one", "pythonPath": "/env/bin"},
]
START = ["info", "main", "Start NNI manager"]
CONNECT = [["info", f"RemoteV3.Worker.{number}", "Initializing SSH worker", f"gpu{number}"] for number in (1, 2)]
INSTALL = [["info", f"RemoteV3.Worker.{number}", "Installing nni and dependencies..."] for number in (1, 2)]


def failure(reason: str) -> list[Any]:
    """Return how the training service ends."""
    return ["error", "TrainingServiceCompat", "Training srevice initialize failed:", {"error": reason}]


def command(number: int, words: str, errors: str) -> list[list[Any]]:
    """Return what is logged of a command that failed on a machine."""
    result = {"stdout": "", "stderr": errors, "code": 1}
    return [
        ["error", f"RemoteV3.Ssh.{number}", "Command failed:", words, result],
        failure(f"SSH command failed: {words}"),
    ]


@pytest.fixture
def why(tmp_path: Path) -> Callable[[list[Any]], str]:
    """Returns what `hnas best` says of an experiment whose manager logged some lines."""
    (tmp_path / "log").mkdir()
    (tmp_path / "db").mkdir()
    with closing(sqlite3.connect(tmp_path / "db" / "nni.sqlite")) as database, database:
        database.execute("CREATE TABLE ExperimentProfile (params TEXT)")
        params = {"trainingService": {"platform": "remote", "machineList": MACHINES}}
        database.execute("INSERT INTO ExperimentProfile VALUES (?)", (json.dumps(params),))

    def why(lines: list[Any]) -> str:
        script = tmp_path / "log.js"
        script.write_text(LOG)
        node = NODE_FOLDER / ("node.exe" if sys.platform == "win32" else "node")
        words = [node, script, NODE_FOLDER, tmp_path / "log" / "nnimanager.log", json.dumps(lines)]
        subprocess.run(words, cwd=NODE_FOLDER, check=True)
        with pytest.raises(ExperimentError) as error:
            Experiment(tmp_path).ranking()
        return str(error.value).removeprefix(f"experiment {tmp_path.name} ended before its first trial: ")

    return why


EXTERNALLY = "error: externally-managed-environment\n\nhint: See PEP 668 for the detailed specification.\n"
PIP = "python -m pip install nni --upgrade"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [*CONNECT, *INSTALL, *command(2, PIP, "/env/bin/python: No module named pip\n")],
            f"machine ann@gpu2 (port 2222): {PIP}: /env/bin/python: No module named pip; "
            "install pip into that environment; NNI runs it at each start",
        ),
        (
            [
                *CONNECT,
                *INSTALL,
                *command(
                    1,
                    PIP,
                    "error: externally-managed-environment\n\nhint: See PEP 668 for the detailed specification.\n",
                ),
            ],
            f"machine ann@gpu1 (port 22): {PIP}: error: externally-managed-environment; "
            "give pythonPath, the folder bin of a virtual environment with pip",
        ),
        (
            [*CONNECT, INSTALL[0], failure("All configured authentication methods failed")],
            "machine ann@gpu2 (port 2222): All configured authentication methods failed; check user and sshKeyFile",
        ),
        (
            [*CONNECT, failure("connect ECONNREFUSED 192.0.2.7:22")],  # of which of the two is not known
            "connect ECONNREFUSED 192.0.2.7:22; check host and port, and that sshd runs there",
        ),
        (
            [
                *CONNECT,
                *INSTALL,
                [
                    "error",
                    "RemoteV3.Worker.1",
                    "Failed to launch trial keeper daemon:",
                    {"success": False, "stderr": "Error: connect ETIMEDOUT 192.0.2.1:8080\n    at TCPConnectWrap\n"},
                ],
                failure("Failed to launch trial keeper daemon"),
            ],
            "machine ann@gpu1 (port 22): it can't reach the manager (connect ETIMEDOUT 192.0.2.1:8080); "
            "let it, or give another nniManagerIp",
        ),
        (
            [*CONNECT, *INSTALL, failure("/home/ann/hnas contains too many files (more than 2000)")],
            "/home/ann/hnas contains too many files (more than 2000); "
            "name what trials do not need in .nniignore, or give a smaller trialCodeDirectory",
        ),
    ],
    ids=["no pip", "the system's Python", "no entry", "refused", "no way back", "too many files"],
)
def test_the_machine_the_reason_and_what_to_do(
    why: Callable[[list[Any]], str], lines: list[Any], expected: str
) -> None:
    earlier = [START, *CONNECT, failure("of an earlier session")]
    assert why([*earlier, START, *lines]) == expected
