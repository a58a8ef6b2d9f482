"""The ``hnas`` command as a process: help, version, pipes, signals, colours."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import write_run
from repository import REPOSITORY

from hnas_nni.cli import COMMANDS, main

_HNAS = [sys.executable, "-m", "hnas_nni.cli"]


def _run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_HNAS, *arguments], cwd=REPOSITORY, capture_output=True, text=True, **options)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from hnas_nni.cli import main; code = main(['--help']);"
        "print(code, sorted({'torch', 'nni', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    for name in COMMANDS:
        assert f"\n    {name} " in done.stdout


def test_another_package_adds_a_command(tmp_path: Path) -> None:
    """As an installed package does: a module, and an entry point in the package's metadata."""
    (tmp_path / "greeting.py").write_text(
        '"""Greet."""\nHELP = "greet"\ndef configure(parser): parser.add_argument("name")\n'
        'def run(options): print("hello", options.name)\n'
    )
    about = tmp_path / "greeting-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hnas.commands]\ngreet = greeting\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    names = re.findall(r"(?m)^    ([a-z-]+) ", _run("--help", env=environment).stdout)
    assert names == [*COMMANDS, "greet"]
    assert _run("greet", "you", env=environment).stdout == "hello you\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: hnas {command} ")
    assert f"examples:\n  hnas {command} " in text


def test_version() -> None:
    (version,) = re.findall(r'(?m)^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text())
    assert _run("--version").stdout == f"hnas {version}\n"


@pytest.mark.parametrize("arguments", [[], ["nosuch"]])
def test_no_or_unknown_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("hnas: error: ")
    assert printed.count("\n") == 1


def test_errors_leave_stdout_empty_and_show_no_traceback() -> None:
    done = _run("show", "nowhere.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hnas show: error: nowhere.json: no such file")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*_HNAS, "show", "HNAS-A", "--channels", "4"],
        cwd=REPOSITORY,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", epochs=2, finished=False)
    with run.lock():
        process = subprocess.Popen(
            [*_HNAS, "report", str(run.path), "--out", str(tmp_path / "it.html"), "--watch", "600"],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Tests that run in the background of a script have interrupts ignored, and hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout.readline()  # it is at work
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize(("no_colour", "expected"), [("", True), ("1", False)])
def test_colours_only_on_a_terminal(no_colour: str, expected: bool) -> None:
    terminal, other_end = pty.openpty()
    subprocess.run(
        [*_HNAS, "show", "nowhere.json"],
        cwd=REPOSITORY,
        stderr=other_end,
        env={**os.environ, "NO_COLOR": no_colour, "TERM": "xterm"},
    )
    os.close(other_end)
    printed = os.read(terminal, 4096)
    os.close(terminal)
    assert b"no such file" in printed
    assert (b"\x1b[" in printed) is expected
    assert "\x1b[" not in _run("show", "nowhere.json", env={**os.environ, "TERM": "xterm"}).stderr
