"""``hnas best``, on a real search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nni_experiment import RunningExperiment

from hnas_nni import HNAS_A, Genotype
from hnas_nni.cli import main
from hnas_nni.experiments import rank, read_trials


def test_ranks_the_latest_search(
    finished_search: RunningExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    assert main(["best"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert finished_search.id in lines[0] and "6 trials: 5 succeeded, 1 failed" in lines[0]
    ranking = rank(read_trials(finished_search.directory))
    for line, entry in zip(lines[3:], ranking, strict=True):
        place, reward, psnr, gmacs, params, position, number, trial, *evaluated = line.split()
        assert int(place) == ranking.index(entry) + 1
        assert float(reward) == pytest.approx(entry.trial.reward, abs=1e-4)
        assert float(psnr) == pytest.approx(entry.trial.psnr, abs=1e-3)
        assert float(gmacs) == pytest.approx(entry.trial.gmacs, abs=1e-2)
        assert int(params.replace(",", "")) == entry.trial.params == 1000 * int(position)
        assert (int(number), trial) == (entry.trial.number, f"({entry.trial.id})")
        assert evaluated == (["once"] if entry.trials == 1 else [str(entry.trials), "times"])


def test_top_and_json(finished_search: RunningExperiment, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(finished_search.directory)
    assert main(["best", folder, "--top", "1"]) == 0
    assert "and 2 more; --top 3 shows all" in capsys.readouterr().out
    assert main(["best", folder, "--json", "--top", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["trials"] == {"SUCCEEDED": 5, "FAILED": 1}
    ranking = rank(read_trials(folder))[:2]
    assert [Genotype.from_dict(entry["genotype"]) for entry in document["best"]] == [e.genotype for e in ranking]
    assert [entry["reward"] for entry in document["best"]] == [entry.trial.reward for entry in ranking]


def test_writes_the_winner(
    finished_search: RunningExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "best.json"
    arguments = [
        "best",
        finished_search.id,
        "--working-dir",
        str(finished_search.working_directory),
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    winner = rank(read_trials(finished_search.directory))[0].genotype
    assert Genotype.from_json(out) == winner
    assert main(["show", str(out), "--channels", "4"]) == 0
    capsys.readouterr()
    HNAS_A.to_json(out)
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert Genotype.from_json(out) == HNAS_A
    assert main([*arguments, "--force"]) == 0
    assert Genotype.from_json(out) == winner


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nni-experiments: no NNI experiment here; start one with `nnictl create --config config.yml`"),
        (["nosuch"], "experiment nosuch: not found in"),
        (["--working-dir", "nowhere"], "nowhere: no such folder"),
        (["empty"], "empty: no NNI experiment here"),
        (["--top", "0"], "--top: 0 is not valid; give at least 1"),
        (["--out", "nowhere/best.json"], "nowhere: no such folder; create it"),
    ],
)
def test_bad_input_is_one_line(
    nni_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(nni_home)
    (nni_home / "empty").mkdir()
    assert main(["best", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("hnas best: error: ")
    assert message in printed.err
