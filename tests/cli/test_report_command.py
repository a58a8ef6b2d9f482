"""``hnas report``."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from lively_networks import lively_network
from nni_experiment import RunningExperiment
from report_runs import write_run

from hnas_nni import HNAS_A, save
from hnas_nni.cli import main


def test_reports_an_experiment_by_its_id(
    finished_search: RunningExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    monkeypatch.chdir(tmp_path)
    assert main(["report", finished_search.id]) == 0
    assert (
        f"NNI experiment {finished_search.id}, finished: 6 of 6 trials -> hnas_report.html" in capsys.readouterr().out
    )
    page = (tmp_path / "hnas_report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert finished_search.id in page
    assert main(["report", finished_search.id]) == 2
    assert "hnas_report.html: exists already; give another name, or --force" in capsys.readouterr().err
    assert (tmp_path / "hnas_report.html").read_text() == page
    assert main(["report", "--force", "--quiet"]) == 0  # the latest
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_watches_a_search_until_it_ends(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2", epochs=2, finished=False)
    page = tmp_path / "it.html"
    command = [sys.executable, "-m", "hnas_nni.cli", "report", str(run.path), "--out", str(page), "--watch", "1"]
    with run.lock():
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [watching.stdout.readline(), watching.stdout.readline()]
        assert watching.poll() is None
        assert 'http-equiv="refresh" content="1"' in page.read_text()
        write_run(tmp_path / "x2_done").path.joinpath("architectures.csv").rename(run.path / "architectures.csv")
        rest = watching.communicate()[0].splitlines()
    assert all("running: 2 of 40 epochs" in line for line in lines)
    assert "finished" in rest[-1]
    assert watching.returncode == 0
    assert 'http-equiv="refresh"' not in page.read_text()


@pytest.mark.slow
def test_compares_models_as_hnas_compare_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    save(lively_network(replace(HNAS_A, position=2), 2, 2), "mine.safetensors")
    asked = ["--data", "embedded:photos", "--images", "chelsea", "--crop", "40,30,32,24"]
    assert main(["report", "run", "--compare", "mine.safetensors", *asked]) == 0
    assert main(["compare", "mine.safetensors", *asked, "--out", "it.png"]) == 0
    assert main(["evaluate", "bicubic", "mine.safetensors", "--data", "embedded:photos", "--per-image"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["chelsea"]]
    page = (tmp_path / "hnas_report.html").read_text()
    scores = re.findall(r'class="score">([\d.]+) / ([\d.]+)<', page)
    assert ["/".join(score) for score in scores] == line.split()[1:]
    assert re.findall(r'class="model">(.*?)<', page) == ["LR", "bicubic", "mine", "HR"]
    assert "x2, 32x24 pixels at 40,30" in page


def test_another_kind_of_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "it.pdf")]) == 2
    assert "it.pdf: a report is an HTML file; give a name that ends in .html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "experiment nosuch: not found in"),
        (["runs/typo"], "runs/typo: no such folder; give the folder of a search, or an experiment's id"),
        (["run/epochs.csv"], "run/epochs.csv: is a file; give the folder of a search, or an experiment's id"),
        (["empty"], "empty: neither a run of hnas search (no settings.json) nor an NNI experiment"),
        (["damaged"], "epochs.csv: damaged"),
        (["run", "--out", "nowhere/it.html"], "nowhere: no such folder; create it"),
        (["run", "--pictures", "0"], "--pictures: 0 is not valid; give at least 1"),
        (["run", "--watch", "0"], "--watch: 0 is not valid; give at least 1 second"),
        (["run", "--data", "embedded:photos"], "--data: is of a comparison; give the models too, by --compare"),
        (["run", "--crop-size", "9"], "--crop-size: is of a comparison; give the models too"),
        (["run", "--compare", "bicubic"], "--compare: on which images? Give --data DIR, or --data embedded:photos"),
        (["run", "--compare", "bicubic", "--data", "embedded:photos"], "bicubic: of which scale?"),
        (["run", "--compare", "no.safetensors", "--data", "embedded:photos"], "no.safetensors: no such model file"),
        (["run", "--compare", "bicubic", "--data", "empty", "--scale", "2"], "empty: "),
        (
            ["run", "--compare", "bicubic", "--data", "embedded:photos", "--scale", "2", "--images", "x"],
            "x: no such image",
        ),
        (
            ["run", "--compare", "bicubic", "--data", "embedded:photos", "--crop", "1,2"],
            "argument --crop: '1,2' is not valid",
        ),
        (["run", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    nni_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(nni_home)
    (nni_home / "empty").mkdir()
    write_run(nni_home / "run")
    damaged = write_run(nni_home / "damaged").path / "epochs.csv"
    damaged.write_text(damaged.read_text()[:-40])
    before = sorted(nni_home.rglob("*"))
    assert main(["report", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(nni_home.rglob("*")) == before


def test_an_unknown_id_lists_the_known_ones(
    finished_search: RunningExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    assert main(["report", "nosuch", "--out", str(tmp_path / "it.html")]) == 2
    assert f"(known are {finished_search.id})" in capsys.readouterr().err
