"""The documentation: its snippets run, its commands are accepted, its links lead somewhere."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import REPOSITORY

from hnas_nni.cli import COMMANDS, make_parser, subcommands
from hnas_nni.trial.__main__ import _parser as trial_parser

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    REPOSITORY / "examples" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
_PROGRAMS = {"uv", "pip", "pytest", "ruff", "mypy", "source", "export", "tensorboard"}
_PROGRAMS |= {"ssh", "ssh-copy-id", "scp", "rsync", "torchrun"}
_OTHERS_OPTIONS = {"--reinstall-package", "--config", "--foreground", "--port", "--logdir"}
_OTHERS_OPTIONS |= {"--upgrade", "--nproc-per-node"}
"""Options of nnictl, TensorBoard, pip and torchrun that the pages name."""

_NAMED_FILE = re.compile(
    r"(?:docs|examples|hnas_nni|search_spaces|strategies|tests|benchmarks)/[\w./-]+\.\w+|config\.yml"
)


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _commands(script: str) -> Iterator[list[str]]:
    """Split a shell script into simple commands, without redirections, assignments and ``uv run``."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        redirected = False
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                redirected = word in {">", ">>", "<"}
                if not redirected:
                    words = command[2:] if command[:2] == ["uv", "run"] else command
                    while words and re.fullmatch(r"\w+=.*", words[0]):
                        words = words[1:]
                    if words:
                        yield words
                    command = []
            elif not redirected:
                command.append(word)


_SCRIPTS = [(page, words) for page in PAGES for script in _blocks(page, "bash") for words in _commands(script)]


def _accepts(parser: argparse.ArgumentParser, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        parser.parse_args(words)
    except SystemExit as error:
        assert error.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "words"), _SCRIPTS, ids=[f"{page.stem}: {' '.join(words)}" for page, words in _SCRIPTS]
)
def test_commands_of_the_pages_are_accepted(page: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program, *arguments = words
    if program == "hnas":
        _accepts(make_parser(), arguments, capsys)
    elif program == "nnictl":
        assert arguments[0] in {"create", "stop", "resume", "view", "experiment"}
        if "--config" in arguments:
            assert (REPOSITORY / arguments[arguments.index("--config") + 1]).is_file()
    elif words[1:3] == ["-m", "hnas_nni.trial"]:
        _accepts(trial_parser(), words[3:], capsys)
    elif words[1:] == ["-m", "venv", ".venv"]:
        assert program == "python3"
    elif words[1:3] == ["-m", "pytest"]:
        assert (REPOSITORY / words[3]).is_dir()
    elif program == "python":
        script = REPOSITORY / (arguments[0] if arguments[0] != "-m" else arguments[1].replace(".", "/"))
        script = script / "__main__.py" if script.is_dir() else script.with_suffix(".py")
        source = script.read_text(encoding="utf-8")
        for option in arguments:
            name = option.removeprefix("--")
            written = (f'"{option}"', f'"{name}"', f'"{name.replace("-", "_")}"')
            assert not option.startswith("--") or any(form in source for form in written), option
    else:
        assert program in _PROGRAMS


def test_every_command_is_documented_with_an_example() -> None:
    shown = {tuple(words[1:2]) for _, words in _SCRIPTS if words[0] == "hnas"}
    assert shown == {(name,) for name in COMMANDS}
    text = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## hnas ([\w-]+)$", text, re.M)
    assert headings == list(COMMANDS)


def _known_options() -> set[str]:
    parsers = [trial_parser(), make_parser(), *(parser for _, parser in subcommands(make_parser()))]
    known = {option for parser in parsers for action in parser._actions for option in action.option_strings}
    for folder in ("benchmarks", "examples", "search_spaces"):
        for script in (REPOSITORY / folder).rglob("*.py"):
            # Some scripts add options in a loop over their names.
            known |= {
                f"--{name}" for name in re.findall(r'"(?:--)?([a-z][a-z-]*)"', script.read_text(encoding="utf-8"))
            }
    return known | _OTHERS_OPTIONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_commands_and_files_in_the_text_exist(page: Path) -> None:
    known = _known_options()
    for code in re.findall(r"`([^`\n]+)`", _prose(page)):
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
            assert option in known, f"{code}: there is no option {option}"
        command = re.match(r"hnas ([a-z][\w-]*)", code)
        assert command is None or command[1] in COMMANDS, code
        for name in _NAMED_FILE.findall(code):
            assert (REPOSITORY / name).is_file(), f"{code}: there is no such file"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{target}: no such file"
        assert not anchor or anchor in _anchors(linked), f"{target}: no such heading"


def test_every_page_is_in_the_index_of_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/\w+\.md)\)", (REPOSITORY / "README.md").read_text(encoding="utf-8")))
    assert linked >= {page.relative_to(REPOSITORY).as_posix() for page in PAGES if page.parent.name == "docs"}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["method", "space", "data", "searching", "training"])
def test_python_snippets_run(
    page: str, nni_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of a page one after the other, in one namespace and an empty folder; they print what their comments say."""
    monkeypatch.chdir(nni_home)
    names: dict[str, object] = {"__name__": page}
    snippets = _blocks(REPOSITORY / "docs" / f"{page}.md", "python")
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, f"{page}.md", "exec"), names)
        printed = capsys.readouterr().out
        for said in re.findall(r"^print\(.*\)  # (?:.*: )?((?:[\d(]|True|torch|astronaut).*)$", snippet, re.M):
            for word in re.findall(r"[\w.]+", said):
                # A figure of the text is a rounded one of the program's.
                assert word in printed, f"{said!r} is not in {printed!r}"
