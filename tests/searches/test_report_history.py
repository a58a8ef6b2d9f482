"""What a report tells of a search: read right from NNI's experiments and from run folders, bad ones refused."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from miniature_search import REWARD, SETTINGS, TRIALS, policy_history
from nni_experiment import RunningExperiment
from report_runs import EPOCHS, MEASURED_AGAIN, write_run

from hnas_nni import HNAS_A, HNAS_B, HNAS_C
from hnas_nni.report.page.page import render_report
from hnas_nni.searches import open_search
from hnas_nni.searches.nni.settings import configuration_text, reward_settings, trial_settings
from hnas_nni.searches.pareto import pareto_set
from hnas_nni.searches.record import Trial, states_in_words
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.trial import TrialSettings


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_pareto_set_is_what_nothing_beats(figures: list[tuple[int, int]]) -> None:
    points = [(float(psnr), float(gmacs)) for psnr, gmacs in figures]
    expected = {
        index
        for index, (psnr, gmacs) in enumerate(figures)
        if not any(p >= psnr and g <= gmacs and (p, g) != (psnr, gmacs) for p, g in figures)
    }
    assert pareto_set([*points, (None, 0.0), (9.0, None)]) == expected


def test_an_experiment_agrees_with_the_rest_api(finished_search: RunningExperiment) -> None:
    history = open_search(finished_search.directory).history()
    profile = finished_search.rest("experiment")
    jobs = {job["trialJobId"]: job for job in finished_search.trials()}
    assert (history.source, history.name) == (finished_search.id, profile["params"]["experimentName"])
    assert (history.state, history.done, history.planned) == ("finished", 6, 6)
    assert history.progress == "5 succeeded, 1 failed"
    assert round(history.started.timestamp() * 1000) == profile["startTime"]
    assert history.layers == 11  # the space's last position
    assert (history.scale, history.reward_weight) == (None, None)  # not our trial: unknown, not guessed
    finals = {
        f"trial {job['sequenceId']} ({id})": json.loads(json.loads(job["finalMetricData"][0]["data"]))
        for id, job in jobs.items()
        if job["status"] == "SUCCEEDED"
    }
    assert [step.number for step in history.steps] == sorted(
        job["sequenceId"] for job in jobs.values() if job["status"] == "SUCCEEDED"
    )
    assert history.winner.name.startswith(f"trial {history.winner.step} (")
    assert {step.name: (step.reward, step.psnr, step.gmacs) for step in history.steps} == {
        name: (final["default"], final["psnr"], final["gmacs"]) for name, final in finals.items()
    }
    assert history.winner.reward == max(final["default"] for final in finals.values())
    for step in history.steps:
        assert finals[step.name]["genotype"] == str(history.ranking[step.rank].genotype)


def test_the_policy_of_an_experiment(hnas_search: RunningExperiment) -> None:
    history = open_search(hnas_search.directory).history()
    written = policy_history(hnas_search)
    assert history.policy.steps == tuple(range(1, TRIALS + 1))
    for level, key in (("normal", "normal"), ("upsampling", "upsampling"), ("position", "network")):
        assert history.policy.entropies[level] == tuple(line[f"entropy/{key}"] for line in written)
    assert [list(row) for row in history.policy.positions] == [
        line["probabilities"]["upsample_position"] for line in written
    ]
    assert (history.scale, history.channels, history.layers) == (SETTINGS.scale, SETTINGS.channels, SETTINGS.layers)
    assert (history.reward_weight, history.cost_scale) == (REWARD.weight, REWARD.cost_scale)
    assert history.settings["measured_patches"] == SETTINGS.measured_patches
    assert "strategies.HierarchicalTuner" in history.configuration


def test_an_experiment_is_repeated_by_its_configuration(finished_search: RunningExperiment) -> None:
    import yaml

    config = yaml.safe_load(open_search(finished_search.directory).history().configuration)
    given = yaml.safe_load((finished_search.working_directory.parent / "config.yml").read_text())
    service = config.pop("trainingService")
    assert service | given.pop("trainingService") == service
    given["trialCommand"] = given["trialCommand"].replace(sys.executable, Path(sys.executable).name)
    own_places = {"searchSpaceFile", "trialCodeDirectory", "experimentWorkingDirectory", "searchSpace", "tuner"}
    assert {name: value for name, value in config.items() if name not in own_places} == {
        name: value for name, value in given.items() if name not in own_places
    }
    place = {"codeDirectory": "."} if "codeDirectory" in given["tuner"] else {}
    assert config["tuner"] == given["tuner"] | place


def test_a_repeated_configuration_is_what_the_user_set_without_its_places(tmp_path: Path) -> None:
    """By NNI's own reading of both files, the second written from what NNI keeps of the first, and put elsewhere."""
    import yaml
    from nni.experiment.config import ExperimentConfig

    (tmp_path / "space.json").write_text('{"upsample_position": {"_type": "choice", "_value": [1, 2]}}')
    given = {
        "experimentName": "mine \u00e9",
        "searchSpaceFile": str(tmp_path / "space.json"),
        "trialCommand": f"{tmp_path}/bin/python -m hnas_nni.trial --data '{tmp_path}/my photos'",
        "trialCodeDirectory": str(tmp_path),
        "trialConcurrency": 2,
        "trialGpuNumber": 1,
        "maxTrialNumber": 60,
        "maxExperimentDuration": "2h",
        "maxTrialDuration": "10m",
        "logLevel": "debug",
        "experimentWorkingDirectory": str(tmp_path / "experiments"),
        "tunerGpuIndices": [0],
        "tuner": {
            "className": "strategies.HierarchicalTuner", "codeDirectory": str(tmp_path),
            "classArgs": {"lambda": 0.6, "levels": {"network": ["upsample_position"]}},
        },
        "assessor": {"name": "Medianstop", "classArgs": {"start_step": 3}},
        "trainingService": {
            "platform": "local", "useActiveGpu": False, "maxTrialNumberPerGpu": 2, "gpuIndices": [0, 1],
        },
    }  # fmt: skip
    (tmp_path / "config.yml").write_text(yaml.safe_dump(given))
    kept = ExperimentConfig.load(tmp_path / "config.yml").json()
    text = configuration_text(json.loads(json.dumps(kept)))
    assert str(tmp_path) not in text
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.yml").write_text(text)
    loaded = ExperimentConfig.load(elsewhere / "config.yml").json()
    assert loaded["searchSpace"] == kept["searchSpace"]
    assert loaded["trialCodeDirectory"] == loaded["tuner"]["codeDirectory"] == str(elsewhere)
    again = yaml.safe_load(text)
    assert again.pop("searchSpace") == json.loads((tmp_path / "space.json").read_text())
    assert again["trialCommand"] == f"python -m hnas_nni.trial --data '{tmp_path.name}/my photos'"
    assert again["tuner"] == given["tuner"] | {"codeDirectory": "."}
    for place in ("searchSpaceFile", "trialCodeDirectory", "experimentWorkingDirectory"):
        del given[place]
    own = {"trainingService", "trialCommand", "tuner"}
    assert {key: again[key] for key in given if key not in own} == {
        key: value for key, value in given.items() if key not in own
    }
    assert again["trainingService"] | given["trainingService"] == again["trainingService"]
    assert not {"trialCommand", "trialCodeDirectory", "trialGpuNumber"} & set(again["trainingService"])
    assert set(again) == set(given)  # no defaults


def test_a_report_shows_no_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    settings = {"data": ["/home/ann/sets/BSDS500/train"], "validation": "/srv/ann/Set5", "reward_lambda": 0.6}
    run = SearchFolder(tmp_path / "run")
    run.create(
        {**settings, "epochs": 1, "scale": 2}, "hnas search --data /home/ann/sets/BSDS500/train --out /home/ann/x"
    )
    page = render_report(open_search(run.path).history())
    assert "BSDS500/train" in page and "Set5" in page
    assert "/home" not in page and "ann/" not in page and str(tmp_path) not in page


def test_trials_of_a_stopped_experiment_do_not_run() -> None:
    trials = [Trial(number, str(number), status) for number, status in enumerate(["SUCCEEDED", "RUNNING", "WAITING"])]
    assert states_in_words(trials, running=True) == "1 succeeded, 1 running, 1 waiting"
    assert states_in_words(trials, running=False) == "2 stopped, 1 succeeded"


def test_a_policy_line_that_is_being_written_is_left_out(hnas_search: RunningExperiment, tmp_path: Path) -> None:
    copy = tmp_path / hnas_search.id
    shutil.copytree(hnas_search.directory, copy)
    file = copy / "checkpoint" / "policy.jsonl"
    whole = file.read_text()
    file.write_text(whole[:-20])
    assert len(open_search(copy).history().policy.steps) == TRIALS - 1
    file.write_text(whole.replace('"entropy/normal"', '"entropy"', 1))
    with pytest.raises(ValueError, match=r"policy\.jsonl: line 1 is damaged \(KeyError\('entropy/normal'\)\); remove"):
        open_search(copy).history()


def test_a_run_folder(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2")
    history = open_search(run.path).history()
    epochs, ranking = run.epochs(), run.architectures()
    assert (history.state, history.done, history.planned, history.seconds) == ("finished", EPOCHS, EPOCHS, 500.0)
    assert [step.psnr for step in history.steps] == [row["psnr"] for row in epochs]
    assert [step.validation_psnr_best for step in history.steps] == [row["validation_psnr_best"] for row in epochs]
    assert history.policy.positions[-1] == tuple(epochs[-1][f"position_{index}"] for index in range(1, 13))
    assert [entry.genotype for entry in history.ranking] == [row.genotype for row in ranking]
    front = pareto_set([(entry.psnr, entry.gmacs) for entry in history.ranking])
    assert front == {place for place, row in enumerate(ranking) if row.pareto}
    assert history.versions["torch"] and history.command == "hnas search --epochs 40 --out run"
    assert history.data == "embedded:photos"
    assert (history.reward_weight, history.cost_scale) == (REWARD.weight, REWARD.cost_scale)


def test_what_a_search_measured_on_the_way(tmp_path: Path) -> None:
    """While it runs that is its ranking, each architecture by its last measurement; afterwards it stands beside it."""
    run = write_run(tmp_path / "x2", epochs=7, finished=False)
    rows = run.measured()
    history = open_search(run.path).history()
    assert history.provisional and history.measured == history.published == ()
    assert len(rows) == 14 and len(history.ranking) == 8
    (again,) = [entry for entry in history.ranking if entry.genotype == MEASURED_AGAIN]
    assert (again.name, again.step, again.evaluated) == ("architecture of epoch 7", 7, 7)
    assert (again.reward, again.psnr) == (rows[-1].reward, rows[-1].psnr)
    assert [entry.reward for entry in history.ranking] == sorted((e.reward for e in history.ranking), reverse=True)
    by_epoch = {entry.step: entry.genotype for entry in history.ranking if entry != again}
    assert by_epoch == {row.epoch: row.genotype for row in rows if row.genotype != MEASURED_AGAIN}

    ranked = write_run(tmp_path / "done").architectures()[3]
    # A final ranking holds the last measurement of all.
    run.write_measured([*rows, replace(ranked, epoch=7)])
    (tmp_path / "done" / "architectures.csv").rename(run.path / "architectures.csv")
    finished = open_search(run.path).history()
    assert not finished.provisional
    assert [entry.genotype for entry in finished.ranking] == [row.genotype for row in run.architectures()]
    assert finished.measured == history.ranking


def test_what_was_measured_is_ranked_as_the_search_ranks(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2", epochs=7, finished=False)
    about = json.loads((run.path / "settings.json").read_text())
    about["settings"]["rank_by"] = "psnr"
    (run.path / "settings.json").write_text(json.dumps(about))
    psnrs = [entry.psnr for entry in open_search(run.path).history().ranking]
    assert psnrs == sorted(psnrs, reverse=True)
    (run.path / "measured.csv").unlink()  # of a search by a version that kept none
    assert open_search(run.path).history().ranking == ()


def test_the_papers_cells_of_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2")
    (a, b, c) = open_search(run.path).history().published
    assert [a.name, b.name, c.name] == ["HNAS-A", "HNAS-B", "HNAS-C"]
    assert (a.genotype, b.genotype, c.genotype) == (HNAS_A, HNAS_B, HNAS_C)
    run.write_published([replace(row, genotype=replace(row.genotype, position=10)) for row in run.published()])
    assert [entry.name for entry in open_search(run.path).history().published] == [
        "HNAS-A", "HNAS-B at position 10", "HNAS-C at position 10",
    ]  # fmt: skip


def test_numbers_that_nni_gave_twice_are_counted(finished_search: RunningExperiment, tmp_path: Path) -> None:
    """As after a resume, which may start again with the numbers."""
    copy = tmp_path / finished_search.id
    shutil.copytree(finished_search.directory, copy)
    once = open_search(copy).history()
    assert once.step_axis is None
    assert [f"trial {step.number} (" in step.name for step in once.steps] == [True] * 5
    with closing(sqlite3.connect(copy / "db" / "nni.sqlite")) as database, database:
        database.execute("UPDATE TrialJobEvent SET sequenceId = 0 WHERE sequenceId = 5")
    twice = open_search(copy).history()
    assert "order" in twice.step_axis
    assert len({step.number for step in twice.steps}) == 5
    assert sum("trial 0 (" in step.name for step in twice.steps) == 2


def test_a_run_is_running_while_its_folder_is_locked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2", epochs=3, finished=False)
    assert open_search(run.path).history().state == "stopped"
    with run.lock():
        assert open_search(run.path).history().state == "running"
    assert open_search(run.path).history().state == "stopped"


def test_epochs_without_a_policy_are_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "x2", epochs=3, finished=False)
    rows = run.epochs()
    rows[0] |= {"entropy_normal": math.nan, "reward": math.nan}
    run.write_epochs(rows)
    history = open_search(run.path).history()
    assert history.policy.steps == (2, 3)
    assert [step.reward is None for step in history.steps] == [True, False, False]


def _cut(file: Path) -> None:
    file.write_text(file.read_text()[:-40])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("settings.json", _cut, r"settings\.json: damaged"),
        ("settings.json", lambda file: file.write_text("[]"), r"settings\.json: damaged"),
        (
            "epochs.csv",
            lambda file: file.write_text(file.read_text().replace("0.1,", "x,", 1)),
            r"epochs\.csv: damaged",
        ),
        ("epochs.csv", lambda file: file.write_text(file.read_text().replace("psnr", "p", 1)), r"epochs\.csv: damaged"),
        ("epochs.csv", lambda file: file.write_bytes(b"\xff\xfe\x00"), r"epochs\.csv: damaged"),
        ("architectures.csv", _cut, r"architectures\.csv: damaged"),
        ("measured.csv", _cut, r"measured\.csv: damaged"),
        ("published.csv", _cut, r"published\.csv: damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: Callable[[Path], object], message: str) -> None:
    run = write_run(tmp_path / "x2")
    damage(run.path / name)
    with pytest.raises(ValueError, match=message):
        open_search(run.path).history()


def test_a_search_by_rungs_is_planned_by_them_and_its_networks_have_sizes_of_their_own(
    finished_climb: RunningExperiment,
) -> None:
    history = open_search(str(finished_climb.directory)).history()
    assert (history.state, history.done) == ("finished", history.planned)
    assert (history.channels, history.layers, history.reward_weight) == (None, None, 1.0)
    assert not {"channels", "layers"} & set(history.settings)
    winner = history.winner
    assert winner is not None and winner.stage == 3 and winner.genotype.depth and winner.genotype.width
    page = render_report(history)
    assert f"of {winner.genotype.depth} blocks" in page
    assert f"at C = {winner.genotype.width}" in page


def test_settings_are_read_from_the_trials_command() -> None:
    stated = asdict(TrialSettings())
    defaults = {name: value for name, value in stated.items() if value is not None}
    # No budget, and a learning rate that is the space's.
    assert set(stated) - set(defaults) == {"budget", "budget_params", "budget_ms", "latency", "learning_rate"}
    assert trial_settings("python -m hnas_nni.trial") == {**defaults, "sharing": True}
    command = (
        "python -m hnas_nni.trial --layers=4 --layers 5 --data '/my photos' --no-sharing --lambda 0.2 --steps $STEPS"
    )
    command += " --steps $STEPS"
    expected = {**defaults, "layers": 5, "data": "/my photos", "sharing": False, "lambda": 0.2}
    del expected["steps"]  # the trial's shell knows it
    assert trial_settings(command) == expected
    assert reward_settings({"tuner": {"name": "TPE"}}, {"lambda": 0.2}) == {"lambda": 0.2, "cost_scale": 0.05}
    assert trial_settings("python -m hnas_nni.trial --budget 4") == {**defaults, "budget": 4.0, "sharing": True}
    # Under a budget our tuner rewards PSNR alone.
    assert reward_settings({"tuner": {"classArgs": {"budget": 4}}}, dict(defaults))["lambda"] == 1
    assert trial_settings("python mine.py --layers 4") == trial_settings("python 'hnas_nni.trial") == {}
    assert reward_settings({}, {}) == {}  # another's trial: unknown
