"""What NNI copies of this project to other machines: packed by NNI itself, as .nniignore tells it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import nni_node
from repository import REPOSITORY

NODE_FOLDER = Path(nni_node.__path__[0])
PACK = """
const [root, code, out] = process.argv.slice(2);
require(root + "/node_modules/app-module-path").addPath(root);
const { initGlobalsCustom } = require(root + "/common/globals");
const none = { pythonInterpreter: "", platform: "", environmentId: "", managerCommandChannel: "", urlPrefix: "" };
const given = { experimentsDirectory: out, experimentId: "id", logLevel: "info", port: 0, action: "create", mode: "" };
initGlobalsCustom({ ...none, ...given, foreground: false, tunerCommandChannel: null }, out + "/log");
require(root + "/common/tarball").createTarball("code", code).then(
    (file) => { console.log(file); process.exit(0); },
    (error) => { console.error(String(error)); process.exit(1); },
);
"""


def test_the_modules_are_copied_and_nothing_large(tmp_path: Path) -> None:
    script = tmp_path / "pack.js"
    script.write_text(PACK)
    node = NODE_FOLDER / ("node.exe" if sys.platform == "win32" else "node")
    command = [node, script, NODE_FOLDER, REPOSITORY, tmp_path]
    done = subprocess.run(command, cwd=NODE_FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with tarfile.open(done.stdout.strip()) as archive:
        members = {member.name: member.size for member in archive if member.isfile()}
    assert {"hnas_nni/trial/__main__.py", "search_spaces/efficient.json", "examples/convnext_operation.py"} <= set(
        members
    )
    folders = {name.split("/")[0] for name in members if "/" in name}
    assert folders <= {path.name for path in REPOSITORY.iterdir() if not path.name.startswith(".")} - {"tests", "docs"}
    assert sum(members.values()) < 10 * 2**20
