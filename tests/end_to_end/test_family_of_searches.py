"""An nnictl experiment whose trials are whole searches, and what ``hnas best`` and ``hnas report`` make of it."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nni_experiment import RunExperiment, RunningExperiment

from hnas_nni import Genotype, load
from hnas_nni.cli import main
from hnas_nni.cost import cost_table
from hnas_nni.searches import ExperimentError, find_experiment, read_experiment
from hnas_nni.searches.search_folder import SearchFolder

LAMBDAS = (0.2, 0.9)
_COMMAND = (
    f"{sys.executable} -m strategies.search.trial --miniature --layers 3 --channels 2 --limit 1 --patch 24 --batch 2 "
    "--controller-batch 2 --architectures 2 --weight-steps 2 --controller-steps 2 --epochs 2 --candidates 3 --threads 1"
)


@pytest.fixture(scope="module")
def family(run_experiment: RunExperiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExperiment]:
    """The experiment of ``examples/one_shot_family_cpu.yml``, smaller."""
    config = {
        "searchSpace": {
            "lambda": {"_type": "choice", "_value": list(LAMBDAS)},
            "seed": {"_type": "choice", "_value": [7]},
        },
        "trialCommand": _COMMAND,
        "maxTrialNumber": len(LAMBDAS),
        "trialConcurrency": len(LAMBDAS),
        "tuner": {"name": "GridSearch"},
    }
    with run_experiment(tmp_path_factory.mktemp("family"), config) as experiment:
        experiment.wait("DONE")
        yield experiment


def test_trials_are_what_their_searches_found(family: RunningExperiment) -> None:
    experiment = read_experiment(family.directory)
    assert [trial.status for trial in experiment.trials] == ["SUCCEEDED"] * len(LAMBDAS)
    assert len(experiment.finished) == len(LAMBDAS)
    for entry in experiment.finished:
        search = SearchFolder(entry.trial.search)
        settings = search.about()["settings"]
        assert (settings["seed"], settings["layers"]) == (7, 3)
        best = search.architectures()[0]
        assert entry.genotype == best.genotype == Genotype.from_json(search.path / "winner.json")
        cost = cost_table(2, 2, 3)(best.genotype)
        assert (entry.gmacs, entry.params) == (cost.gmacs, cost.params)
        weight = settings["reward_lambda"]
        assert entry.reward == pytest.approx(weight * entry.psnr - (1 - weight) * settings["cost_scale"] * cost.gmacs)
        assert entry.trial.intermediate == pytest.approx([row["validation_reward"] for row in search.epochs()])
        assert entry.reward_weight == weight  # as NNI handed it to the trial
    assert set(experiment.reward_weights) == set(LAMBDAS)


def test_best_and_report(family: RunningExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    winner, page = tmp_path / "winner.json", tmp_path / "family.html"
    assert main(["best", str(family.directory), "--json", "--out", str(winner)]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    finished = read_experiment(family.directory).finished
    # Two searches may find the same architecture, which is listed once, with the higher reward.
    rewards: dict[Genotype, float] = {}
    for entry in finished:
        rewards[entry.genotype] = max(entry.reward, rewards.get(entry.genotype, 0.0))
    assert {entry["reward"] for entry in best} == set(rewards.values())
    assert {entry["lambda"] for entry in best} <= set(LAMBDAS)
    assert Genotype.from_json(winner) == max(finished, key=lambda entry: entry.reward).genotype
    for entry in finished:
        assert main(["best", str(family.directory), "--lambda", str(entry.reward_weight), "--json"]) == 0
        (own,) = json.loads(capsys.readouterr().out)["best"]
        assert (own["trial_id"], own["lambda"]) == (entry.trial.id, entry.reward_weight)
    assert main(["best", str(family.directory), "--weights", str(tmp_path / "w.safetensors"), "-q"]) == 0
    assert load(tmp_path / "w.safetensors").genotype == Genotype.from_json(winner)
    capsys.readouterr()
    assert main(["report", str(family.directory), "--out", str(page)]) == 0
    assert "finished: 2 of 2 trials" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "x2, C = 2, L = 3" in text
    assert "the photographs that come along" in text
    for entry in finished:
        trial, weight = entry.trial, SearchFolder(entry.trial.search).about()["settings"]["reward_lambda"]
        # Rewards at different lambdas can't be compared, so the page says which is whose.
        assert re.search(rf"trial {trial.number} \({trial.id}\), (λ|\\u03bb) = {weight:g}", text)


def test_nnis_list_is_read_while_nni_rewrites_it(nni_home: Path) -> None:
    """NNI empties its list before it writes it; one that stays damaged is named."""
    folder = nni_home / "nni-experiments"
    (folder / "abc" / "db").mkdir(parents=True)
    (folder / "abc" / "db" / "nni.sqlite").touch()
    listed = folder / ".experiment"
    listed.write_text("")
    writer = threading.Timer(0.1, listed.write_text, ['{"abc": {"logDir": "' + str(folder) + '"}}'])
    writer.start()
    try:
        assert find_experiment("abc") == folder / "abc"
    finally:
        writer.join()
    listed.write_text('{"abc": ')
    with pytest.raises(ExperimentError, match="list of experiments is damaged"):
        find_experiment("abc")
