"""``hnas best``, on a real search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nni_experiment import RunningExperiment
from report_runs import write_run

from hnas_nni import HNAS_A, Genotype
from hnas_nni.cli import main
from hnas_nni.searches import read_experiment


def test_ranks_the_latest_search(
    finished_search: RunningExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    assert main(["best"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert finished_search.id in lines[0] and "6 trials: 5 succeeded, 1 failed" in lines[0]
    ranking = read_experiment(finished_search.directory).ranking()
    assert lines[2].split()[:3] == ["rank", "lambda", "reward"]
    for line, entry in zip(lines[3:-2], ranking, strict=True):
        place, weight, reward, psnr, gmacs, params, position, number, trial, *evaluated = line.split()
        assert float(weight) == entry.reward_weight
        assert int(place) == entry.rank == ranking.index(entry) + 1
        assert float(reward) == pytest.approx(entry.reward, abs=1e-4)
        assert float(psnr) == pytest.approx(entry.psnr, abs=1e-3)
        assert float(gmacs) == pytest.approx(entry.gmacs, abs=1e-2)
        assert int(params.replace(",", "")) == entry.params == 1000 * int(position)
        assert (int(number), trial) == (entry.trial.number, f"({entry.trial.id})")
        assert evaluated == (["once"] if entry.evaluated == 1 else [str(entry.evaluated), "times"])


def test_one_lambda_of_several(finished_search: RunningExperiment, capsys: pytest.CaptureFixture[str]) -> None:
    """Rewards of different lambda can't be compared, so that they can be looked at apart."""
    folder, finished = str(finished_search.directory), read_experiment(finished_search.directory).finished
    weights = sorted({entry.reward_weight for entry in finished})
    assert weights == [0.2, 0.9]
    assert main(["best", folder]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "rewards of different lambda (0.2, 0.9) can't be compared; --lambda 0.2 shows those of one"
    for weight in weights:
        assert main(["best", folder, "--lambda", str(weight), "--json"]) == 0
        best = json.loads(capsys.readouterr().out)["best"]
        assert {entry["lambda"] for entry in best} == {weight}
        own = [entry for entry in finished if entry.reward_weight == weight]
        for entry in own:  # what the reward says of itself
            assert entry.reward == pytest.approx(weight * entry.psnr - (1 - weight) * 0.05 * entry.gmacs)
        assert best[0]["reward"] == max(entry.reward for entry in own)
        assert sum(entry["evaluated"] for entry in best) == len(own)
    assert main(["best", folder, "--lambda", "0.5"]) == 2
    assert "--lambda: no finished trial has 0.5; theirs are 0.2, 0.9" in capsys.readouterr().err


def test_ranks_a_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "x2")
    rows = run.architectures()
    out = tmp_path / "best.json"
    assert main(["best", str(run.path), "--top", "4", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"search x2 ({len(rows)} architectures ranked, lambda 0.6) in {run.path}"
    for line, row in zip(lines[3:7], rows[:4], strict=True):
        place, reward, psnr, gmacs, params, position, pareto = line.split()
        assert (int(place), int(position)) == (row.rank, row.genotype.position)
        assert float(reward) == pytest.approx(row.reward, abs=1e-4)
        assert float(psnr) == pytest.approx(row.psnr, abs=1e-3)
        assert float(gmacs) == pytest.approx(row.gmacs, abs=1e-2)
        assert int(params.replace(",", "")) == row.params
        assert (pareto == "yes") is row.pareto
    assert lines[7] == f"and {len(rows) - 4} more; --top {len(rows)} shows all"
    assert Genotype.from_json(out) == Genotype.from_json(run.path / "winner.json")
    assert main(["best", str(run.path), "--json", "--top", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["run"], document["lambda"], len(document["best"])) == ("x2", 0.6, 2)
    assert Genotype.from_dict(document["best"][0]["genotype"]) == rows[0].genotype


def test_top_and_json(finished_search: RunningExperiment, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(finished_search.directory)
    assert main(["best", folder, "--top", "1"]) == 0
    assert "and 2 more; --top 3 shows all" in capsys.readouterr().out
    assert main(["best", folder, "--json", "--top", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["trials"] == {"SUCCEEDED": 5, "FAILED": 1}
    ranking = read_experiment(folder).ranking()[:2]
    assert [Genotype.from_dict(entry["genotype"]) for entry in document["best"]] == [e.genotype for e in ranking]
    assert [entry["reward"] for entry in document["best"]] == [entry.reward for entry in ranking]


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
    winner = read_experiment(finished_search.directory).ranking()[0].genotype
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
        (["runs/nosuch"], "runs/nosuch: no such folder; give the folder of a search, or an experiment's id"),
        (["--working-dir", "nowhere"], "nowhere: no such folder"),
        (["empty"], "empty: neither a run of hnas search (no settings.json) nor an NNI experiment (no db/nni.sqlite)"),
        (["run", "--weights", "it.safetensors"], "--weights: run has no winner.safetensors; it is there once a search"),
        (["run", "--weights", "it.safetensors", "--out", "it.json"], "--weights: run has no winner.safetensors"),
        (["run", "--lambda", "0.2"], "--lambda: run is a search with 0.6, not 0.2"),
        (["unfinished"], "unfinished: architectures are ranked when the search ends; 7 of 40 epochs are done"),
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
    write_run(nni_home / "run")
    write_run(nni_home / "unfinished", epochs=7, finished=False)
    before = sorted(nni_home.rglob("*"))
    assert main(["best", *arguments]) == 2
    assert sorted(nni_home.rglob("*")) == before
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("hnas best: error: ")
    assert message in printed.err
