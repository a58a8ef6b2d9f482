"""The recipe of CONTRIBUTING, word by word: what it says is done to a copy of the packages, and all works there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

_SUPPORT = REPOSITORY / "tests" / "support"
_RUN = """
import json, runpy, sys

for words in json.loads(sys.argv[1]):
    sys.argv = words
    try:
        if words[0].endswith(".py"):
            runpy.run_path(words[0], run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__")
    except SystemExit as end:
        assert not end.code, words
"""
"""Python commands one after the other, each as if it were alone; torch and NNI are loaded once for all."""


def _steps() -> list[str]:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^\*\*an operation to the space\*\*(.*?)^\*\*a command\*\*", text, re.DOTALL | re.M)
    return re.split(r"^\d\. ", recipe, flags=re.M)[1:]


def _code(step: str, language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", step, re.DOTALL | re.M)
    return code


def _insert(file: Path, code: str) -> None:
    """Put code at the end of a file; of ``NAME = (..., added)`` what is added, at the end of the tuple."""
    source = file.read_text(encoding="utf-8")
    head, dots, added = code.partition("    ...,\n")
    if not dots:
        file.write_text(f"{source}\n\n{code}", encoding="utf-8")
        return
    before, start, rest = source.partition(head)
    rows, end, after = rest.partition("\n)\n")
    assert start and end
    file.write_text(f"{before}{start}{rows}\n{added}{after}", encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("hnas_nni", "search_spaces"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.slow
def test_an_operation_by_the_recipe(copy: Path) -> None:
    module, row, files = _steps()
    for step in (module, row):
        file = re.search(r"`(hnas_nni/\S+\.py)`", step)
        assert file is not None
        _insert(copy / file[1], _code(step, "python"))
    (name,) = re.findall(r'name="(\w+)"', row)
    commands = []
    for line in _code(files, "bash").splitlines():
        python, option, *words = shlex.split(line)
        assert (python, option) == ("python", "-m")
        commands.append(words)
    assert len(commands) == 3
    commands.append([str(_SUPPORT / "operation_contract.py"), name])
    environment = {**os.environ, "PYTHONPATH": f"{copy}{os.pathsep}{_SUPPORT}", "NNI_FRAMEWORK": "none"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(commands)], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(copy / "hnas_nni" / "__init__.py")
