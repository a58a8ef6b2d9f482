"""What a command says before it loads what takes seconds, and how long it says that it will take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import write_run

from hnas_nni import HNAS_A, Genotype
from hnas_nni.cli import main
from hnas_nni.cli.train import configure
from hnas_nni.settings.options import OnceParser
from hnas_nni.training.progress import in_words

UNTIL_THE_FIRST_LINE = """
import os, sys
from hnas_nni.cli import main
class Watched:
    def write(self, text):
        heavy = [name for name in ("torch", "numpy", "nni", "pytorch_lightning") if name in sys.modules]
        os.write(1, (text + str(heavy)).encode())
        os._exit(0)
    def isatty(self): return False
    def flush(self): pass
sys.stdout = sys.stderr = Watched()
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "HNAS-A"], "normal cell\n"),
        (["best", "run"], "search run (12 architectures ranked"),
        (["search", "--miniature", "--data", "empty", "--out", "out"], "search in out: paper space, x2, C = 8, L = "),
        (["train", "HNAS-A", "--data", "empty", "--out", "out"], "training HNAS-A: x2, C = 64, L = 12; 300,000 steps"),
    ],
)
def test_the_first_line_comes_before_torch_is_loaded(arguments: list[str], line: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-c", UNTIL_THE_FIRST_LINE, *arguments]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert printed.startswith(line)
    assert printed.endswith("[]")


def test_a_miniature_training_is_small_but_for_what_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    command = ["train", "HNAS-A", "--data", "empty", "--out", "out", "--miniature"]
    assert main(command) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "HNAS-A upsamples in block 10; in a network of 6 it is moved to block 6",
        "training HNAS-A: x2, C = 8, L = 6; 4,000 steps of 8 patches of 48 pixels",
    ]
    assert main([*command, "--channels", "16", "--layers", "12", "--epochs", "2"]) == 2
    assert "training HNAS-A: x2, C = 16, L = 12; 400 steps of 8 patches" in capsys.readouterr().err


def test_a_paper_network_is_moved_in_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    moved = Genotype(HNAS_A.normal, HNAS_A.upsampling, 6)
    assert main(["show", "hnas-a", "--layers", "6", "--channels", "2", "--json"]) == 0
    printed = capsys.readouterr()
    assert Genotype.from_dict(json.loads(printed.out)["genotype"]) == moved
    assert "HNAS-A upsamples in block 10; in a network of 6 it is moved to block 6" in printed.err
    from hnas_nni.trial.__main__ import _genotype_by_hand

    assert _genotype_by_hand("HNAS-A", 6, 0) == moved


def test_durations() -> None:
    """The time that the paper's training takes on two cores is said in hours."""
    assert in_words(300_000 * 0.78) == "about 65 hours"


def test_the_help_says_what_is_small() -> None:
    parser = OnceParser(prog="hnas train")
    configure(parser)
    text = " ".join(parser.format_help().split())
    assert "steps of an epoch (1000; 200 in miniature)" in text
