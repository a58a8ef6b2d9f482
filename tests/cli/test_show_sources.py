"""``hnas show`` of model files and of an experiment's trials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from miniature_search import SIZES
from nni_experiment import RunningExperiment
from report_runs import write_run
from safetensors.torch import save_file

from hnas_nni import Genotype, load, save
from hnas_nni.cli import main
from hnas_nni.searches import read_experiment


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file, with sizes that are nobody's default."""
    path = tmp_path / "found.safetensors"
    save(Genotype.random(3, 5).build(scale=3, channels=6, layers=7), path)
    return path


def test_a_model_file_is_shown_at_its_own_size(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "found.pdf"
    assert main(["show", str(model), "--json", "--out", str(picture)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert Genotype.from_dict(shown["genotype"]) == Genotype.random(3, 5)
    assert (shown["scale"], shown["channels"], shown["layers"]) == (3, 6, 7)
    assert shown["parameters"] == sum(parameter.numel() for parameter in load(model).parameters())
    assert picture.read_bytes().startswith(b"%PDF")
    assert main(["show", str(model), "--channels", "12"]) == 0
    assert "cost (x3, C = 12, L = 7," in capsys.readouterr().out


def test_its_header_is_read_without_torch(model: Path) -> None:
    script = (
        "import sys; from hnas_nni.network.model_header import read_header; "
        f"header = read_header({str(model)!r}); print(header.architecture, header.scale, 'torch' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == f"{Genotype.random(3, 5)} 3 False"


def test_files_that_are_no_model_are_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut, foreign = tmp_path / "cut.safetensors", tmp_path / "foreign.safetensors"
    cut.write_bytes(model.read_bytes()[:100])
    save_file({"weight": torch.zeros(2)}, foreign)
    for path, message in ((cut, "damaged or not a model of hnas-nni"), (foreign, "but not a model of hnas-nni")):
        assert main(["show", str(path)]) == 2
        error = capsys.readouterr().err
        assert f"{path.name}: " in error and message in error and error.count("\n") == 1


def test_a_trial_of_an_experiment(
    finished_search: RunningExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    ranking = read_experiment(finished_search.directory).ranking()

    def shown(name: str) -> Genotype:
        assert main(["show", name, "--channels", "4", "--json"]) == 0
        return Genotype.from_dict(json.loads(capsys.readouterr().out)["genotype"])

    assert shown(f"{finished_search.id}:best") == shown(":best") == ranking[0].genotype
    for entry in ranking:
        assert shown(f"{finished_search.id}:{entry.trial.number}") == entry.genotype
        assert shown(f"{finished_search.directory}:{entry.trial.id}") == entry.genotype
    for name, message in (
        (":99", "has no trial 99; there are 6, e.g. 0 ("),
        (":2", "trial 2 is failed and has not reported"),
        ("nosuch:1", f"experiment nosuch: not found in {finished_search.home}"),
    ):
        assert main(["show", name]) == 2
        assert message in capsys.readouterr().err


def test_an_architecture_of_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "runs" / "first")
    rows = run.architectures()
    for name, row in (("best", rows[0]), ("1", rows[0]), ("3", rows[2]), (str(len(rows)), rows[-1])):
        assert main(["show", f"{run.path}:{name}", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert Genotype.from_dict(shown["genotype"]) == row.genotype
        assert shown["parameters"] == row.params  # at the size that the search had
        assert shown["multiply_adds"] / 1e9 == pytest.approx(row.gmacs)
    unfinished = write_run(tmp_path / "unfinished", epochs=7, finished=False).path
    for name, message in (
        (f"{run.path}:0", f"first: has no architecture 0; give its rank, 1 to {len(rows)}, or best"),
        (f"{run.path}:worst", "first: has no architecture worst"),
        (f"{unfinished}:best", "unfinished: architectures are ranked when the search ends; 7 of 40 epochs are done"),
        (f"{tmp_path}/runs/typo:best", "runs/typo: no such folder"),
    ):
        assert main(["show", name]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_a_trial_is_shown_at_the_size_of_its_model(
    hnas_search: RunningExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(hnas_search.home))
    best = read_experiment(hnas_search.directory).ranking()[0]
    assert main(["show", f"{hnas_search.id}:best", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {name: shown[name] for name in SIZES} == SIZES
    assert (shown["parameters"], shown["multiply_adds"] / 1e9) == (best.params, pytest.approx(best.gmacs))
