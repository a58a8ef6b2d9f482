"""Imports point one way, without a circle: the contracts of pyproject.toml, and what import-linter can't see."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from repository import REPOSITORY

ABOVE = {"hnas_nni": ("search_spaces", "strategies"), "search_spaces": ("strategies",)}


def test_imports_keep_the_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    code = lint_imports(str(REPOSITORY / "pyproject.toml"), no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize("package", ABOVE)
def test_no_package_names_a_module_above_it(package: str) -> None:
    """What is imported by a name in a string is an import."""
    path = re.compile(rf"\b(?:{'|'.join(ABOVE[package])})\.[a-z_]+")
    files = (REPOSITORY / package).rglob("*.py")
    found = [f"{file}:{line}: {text}" for file in files for line, text in _strings(file) if path.search(text)]
    assert not found, "\n".join(found)


def test_packages_that_load_lazily_load_their_own_modules() -> None:
    """What a stub lists is imported when it is first used."""
    stubs = [file for package in (*ABOVE, "strategies") for file in (REPOSITORY / package).rglob("*.pyi")]
    assert stubs
    for stub in stubs:
        imports = [node for node in ast.walk(ast.parse(stub.read_text())) if isinstance(node, ast.ImportFrom)]
        assert {node.level for node in imports} == {1}, stub


def _strings(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of the strings in a file that are not docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value
