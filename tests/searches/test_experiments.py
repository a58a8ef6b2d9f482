"""Reading NNI experiments: against a real search, NNI's REST API and NNI's own reports."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from nni_experiment import RunningExperiment

from hnas_nni import HNAS_A, HNAS_B, Genotype
from hnas_nni.report.page.sections import lead
from hnas_nni.searches import (
    Experiment,
    ExperimentError,
    MeasuredArchitecture,
    Trial,
    find_experiment,
    open_search,
    read_experiment,
)
from hnas_nni.trial.reward import JointReward


@pytest.fixture
def copied(finished_search: RunningExperiment, tmp_path: Path) -> Path:
    """A copy of the search's folder that a test may change."""
    target = tmp_path / finished_search.id
    shutil.copytree(finished_search.directory, target)
    return target


def test_agrees_with_the_rest_api(finished_search: RunningExperiment) -> None:
    experiment = read_experiment(finished_search.directory)
    trials, measured = experiment.trials, {entry.trial: entry for entry in experiment.measured}
    jobs = {job["sequenceId"]: job for job in finished_search.trials()}
    assert [trial.number for trial in trials] == list(range(6)) == sorted(jobs)
    for trial in trials:
        job = jobs[trial.number]
        assert (trial.id, trial.status) == (job["trialJobId"], job["status"])
        assert trial.start is not None and trial.end is not None
        assert round(trial.start.timestamp() * 1000) == job["startTime"]
        assert round(trial.end.timestamp() * 1000) == job["endTime"]
        if trial.status == "SUCCEEDED":
            final = json.loads(json.loads(job["finalMetricData"][0]["data"]))
            entry = measured[trial]
            assert (entry.reward, entry.psnr, entry.gmacs, entry.params) == tuple(
                final[key] for key in ("default", "psnr", "gmacs", "params")
            )
    assert Counter(trial.status for trial in trials) == {"SUCCEEDED": 5, "FAILED": 1}


def test_results_stand_beside_the_architecture_that_was_evaluated(finished_search: RunningExperiment) -> None:
    """NNI itself mixes them up here: a trial died before it asked for parameters, and two run at a time."""
    finished = read_experiment(finished_search.directory).finished
    assert len(finished) == 5
    for entry in finished:
        assert entry.genotype == entry.trial.genotype == dataclasses.replace(HNAS_A, position=entry.genotype.position)
        position = entry.genotype.position
        assert entry.params == 1000 * position
        assert entry.gmacs == pytest.approx(100 / position)
        assert entry.trial.intermediate == pytest.approx([30 + position / 10 + step for step in range(3)])
        expected = [JointReward(weight)(entry.psnr, entry.gmacs) for weight in (0.2, 0.9)]
        assert any(entry.reward == pytest.approx(reward) for reward in expected)


def test_a_failed_trial_is_kept(finished_search: RunningExperiment) -> None:
    experiment = read_experiment(finished_search.directory)
    failed = experiment.trials[2]
    assert (failed.status, failed.genotype) == ("FAILED", None)
    assert failed not in [entry.trial for entry in experiment.measured]
    assert "out of memory" in (failed.folder / "trial.stderr").read_text()


def test_ranks_each_architecture_once(finished_search: RunningExperiment) -> None:
    experiment = read_experiment(finished_search.directory)
    ranking = experiment.ranking()
    assert len({entry.genotype for entry in ranking}) == len(ranking) == 3
    assert sum(entry.evaluated for entry in ranking) == 5
    rewards = [entry.reward for entry in ranking]
    assert rewards == sorted(rewards, reverse=True)
    assert rewards[0] == max(entry.reward for entry in experiment.finished)
    for entry in ranking:
        same = [other for other in experiment.finished if other.genotype == entry.genotype]
        assert entry.evaluated == len(same)
        assert entry.reward == max(other.reward for other in same)


def _experiment(*results: tuple[int, str, Genotype, float]) -> Experiment:
    """An experiment of trials with number, state, architecture and reward."""
    measured = [
        MeasuredArchitecture(genotype, reward, trial=Trial(number, f"t{number}", status, genotype))
        for number, status, genotype, reward in results
    ]
    return Experiment(Path("made"), tuple(entry.trial for entry in measured), tuple(measured))


def test_of_equal_rewards_the_earlier_trial_wins() -> None:
    results = [(3, HNAS_B, 1.0), (1, HNAS_A, 1.0), (0, HNAS_A, -2.0), (2, HNAS_B, 1.0)]
    experiment = _experiment(*((number, "SUCCEEDED", genotype, reward) for number, genotype, reward in results))
    ranking = experiment.ranking()
    assert [(entry.rank, entry.trial.number, entry.evaluated) for entry in ranking] == [(1, 1, 2), (2, 2, 2)]


def test_a_reward_that_is_no_number_does_not_win() -> None:
    good, diverged = (0, "SUCCEEDED", HNAS_A, -5.0), (1, "SUCCEEDED", HNAS_B, float("nan"))
    killed = (2, "FAILED", Genotype.random(0), 9.0)  # after its report
    assert [entry.trial.number for entry in _experiment(diverged, good, killed).ranking()] == [0]


@pytest.mark.parametrize("statuses", [[], ["RUNNING", "FAILED", "FAILED"]])
def test_nothing_finished_is_said_in_one_line(statuses: list[str]) -> None:
    trials = tuple(Trial(number, str(number), status) for number, status in enumerate(statuses))
    expected = (
        r"2 failed, 1 stopped" if statuses else "no trial has started yet; .* stopped; `nnictl resume made` goes on"
    )
    with pytest.raises(ExperimentError, match=expected):
        Experiment(Path("made"), trials).ranking()


@pytest.mark.parametrize(("started", "is_told"), [("2026-11-27 00:28:17", True), ("2026-11-27 00:29:40", False)])
def test_an_error_before_the_latest_trial_is_of_an_earlier_session(tmp_path: Path, started: str, is_told: bool) -> None:
    """At ``logLevel: warning``, as in config.yml, the manager's log does not tell where a session begins."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "nnimanager.log").write_text(
        "[2026-11-26 20:00:00] WARNING (NNIManager) something else\n"
        "[2026-11-27 00:28:18] ERROR (NNIManager) Error: tuner_command_channel: Tuner did not connect in 10 seconds.\n"
    )
    start = datetime.fromisoformat(started).astimezone(timezone.utc)
    experiment = Experiment(tmp_path, (Trial(0, "a", "RUNNING", start=start),))
    assert ("did not connect" in experiment.title) == is_told


def test_why_all_trials_failed_is_not_said_twice(tmp_path: Path) -> None:
    """Their output is named once, and neither it nor the cause is cut."""
    trial, log = tmp_path / "trial", tmp_path / "log" / "nnimanager.log"
    for folder in (trial, log.parent):
        folder.mkdir()
    (trial / "trial.stderr").touch()
    cause = "python -m hnas_nni.trial: error: unrecognized arguments: --patchh 3"
    log.write_text(
        "[2026-11-27 00:28:18] ERROR (NNIManager) Error: HierarchicalTuner: the first 5 trials failed and none "
        f"succeeded: {cause}; see {trial / 'trial.stderr'}\n"
    )
    trials = tuple(Trial(number, str(number), "FAILED", folder=trial) for number in range(5))
    with pytest.raises(ExperimentError) as caught:
        Experiment(tmp_path, trials).ranking()
    assert str(caught.value) == (
        "no trial has finished with a result (5 failed); the experiment has ended: HierarchicalTuner: the first 5 "
        f"trials failed and none succeeded: {cause}; see {trial / 'trial.stderr'}"
    )


def test_an_experiment_that_died_before_its_first_trial_says_of_what(tmp_path: Path) -> None:
    """What NNI writes where the machine is so busy that its tuner needs more than ten seconds."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "nnimanager.log").write_text(
        "[2026-11-27 00:28:18] ERROR (NNIManager) Error: tuner_command_channel: Tuner did not connect in 10 seconds. "
        "Please check tuner (dispatcher) log.\n    at Timeout._onTimeout (tuner_command_channel.js:47:41)\n"
    )
    with pytest.raises(
        ExperimentError, match=r"ended before its first trial: .*did not connect in 10 seconds"
    ) as caught:
        Experiment(tmp_path).ranking()
    assert str(caught.value).endswith(
        f"; the machine was too busy: `nnictl stop {tmp_path.name}`, give tuners a minute by NODE_OPTIONS as in the "
        "README, and start it again"
    )
    assert "\n" not in str(caught.value)


def test_an_experiment_that_died_with_its_trials_says_so(copied: Path) -> None:
    """A kill leaves trials as running in the database, and the manager at work writes to it every ten seconds."""
    database = copied / "db" / "nni.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM MetricData")
        connection.execute("DELETE FROM TrialJobEvent WHERE event IN ('SUCCEEDED', 'FAILED')")
        connection.execute("UPDATE ExperimentProfile SET endTime = NULL")
    with pytest.raises(
        ExperimentError, match=r"^no trial has finished with a result \(6 running\); wait until one has$"
    ):
        read_experiment(copied).ranking()
    for file in database.parent.iterdir():
        os.utime(file, (time.time() - 300,) * 2)
    with pytest.raises(ExperimentError) as caught:
        read_experiment(copied).ranking()
    assert str(caught.value) == (
        "no trial has finished with a result (6 stopped); the experiment has stopped; "
        f"`nnictl resume {copied.name}` goes on"
    )


def test_an_error_that_ended_an_experiment_is_told_beside_what_it_found(copied: Path) -> None:
    with sqlite3.connect(copied / "db" / "nni.sqlite") as connection:
        connection.execute(
            "UPDATE ExperimentProfile SET params = replace(params, '\"maxTrialNumber\":6', '\"maxTrialNumber\":9')"
        )
    with (copied / "log" / "nnimanager.log").open("a") as log:
        log.write("[2026-11-27 00:28:18] ERROR (NNIManager) Dispatcher error: it is gone\n    at Receiver.emit\n")
    experiment = read_experiment(copied)
    assert experiment.ranking() and experiment.title.endswith(
        "; ended with an error: Dispatcher error: it is gone; mend that)"
    )
    history = open_search(copied).history()
    assert (history.state, history.ended_with) == ("stopped", "Dispatcher error: it is gone; mend that")
    assert "6 of 9 trials" in lead(history) and "ended with an error: Dispatcher error: it is gone" in lead(history)


def test_finds_experiments_by_nnis_list(finished_search: RunningExperiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(finished_search.home))
    expected = finished_search.directory.resolve()
    assert find_experiment() == expected
    assert find_experiment(finished_search.id) == expected
    with pytest.raises(ExperimentError, match=f"nosuchid.*known are.*{finished_search.id}"):
        find_experiment("nosuchid")


def test_finds_experiments_by_folder(finished_search: RunningExperiment, nni_home: Path) -> None:
    expected = finished_search.directory.resolve()
    working_directory = finished_search.working_directory
    assert find_experiment(finished_search.directory) == expected
    assert find_experiment(str(working_directory)) == expected
    assert find_experiment(None, working_directory) == expected
    assert find_experiment(finished_search.id, working_directory) == expected


def test_the_latest_is_the_one_that_started_last(copied: Path, nni_home: Path) -> None:
    older = copied.with_name("older")
    shutil.copytree(copied, older)
    with sqlite3.connect(older / "db" / "nni.sqlite") as database:
        database.execute("UPDATE ExperimentProfile SET startTime = startTime - 1000")
    assert find_experiment(None, copied.parent) == copied.resolve()
    with sqlite3.connect(older / "db" / "nni.sqlite") as database:
        database.execute("UPDATE ExperimentProfile SET startTime = startTime + 2000")
    assert find_experiment(None, copied.parent) == older.resolve()


def test_no_experiment_at_all(nni_home: Path) -> None:
    with pytest.raises(ExperimentError, match="no NNI experiment here; start one with `nnictl create"):
        find_experiment()
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        find_experiment(None, nni_home / "nowhere")
    with pytest.raises(ExperimentError, match="not the folder of an NNI experiment"):
        read_experiment(nni_home)


def test_an_experiment_whose_folder_is_gone(finished_search: RunningExperiment, nni_home: Path) -> None:
    known = json.loads((finished_search.home / "nni-experiments" / ".experiment").read_text())
    known[finished_search.id]["logDir"] = str(nni_home / "moved")
    (nni_home / "nni-experiments").mkdir()
    (nni_home / "nni-experiments" / ".experiment").write_text(json.dumps(known))
    with pytest.raises(ExperimentError, match="is gone"):
        find_experiment(finished_search.id)


def test_a_damaged_database(copied: Path) -> None:
    database = copied / "db" / "nni.sqlite"
    sound = database.read_bytes()
    for damaged in (b"not a database" * 100, sound.replace(b"CREATE TABLE", b"CREATE T\xf5BLE")):
        database.write_bytes(damaged)
        with pytest.raises(ExperimentError, match=r"nni\.sqlite: can't be read"):
            read_experiment(copied)


def test_a_manager_killed_while_it_wrote(copied: Path) -> None:
    before = read_experiment(copied)
    database = copied / "db" / "nni.sqlite"
    writer = (
        "import os, signal, sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1'); database.execute('BEGIN')\n"
        "database.execute(\"UPDATE TrialJobEvent SET event = 'BROKEN'\")\n"
        "database.executemany('INSERT INTO MetricData VALUES (1, 1, 1, 1, 1, ?)', [('x' * 500,)] * 1000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", writer, str(database)])
    left = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    assert set(left) == {"nni.sqlite", "nni.sqlite-journal"}
    assert b"BROKEN" in left["nni.sqlite"]
    assert read_experiment(copied) == before
    assert {path.name: path.read_bytes() for path in database.parent.iterdir()} == left


def test_another_experiment_is_refused(copied: Path) -> None:
    with sqlite3.connect(copied / "db" / "nni.sqlite") as database:
        for rowid, data in database.execute("SELECT rowid, data FROM TrialJobEvent WHERE data <> ''").fetchall():
            parameters = {**json.loads(data), "parameters": {"learning_rate": 0.1}}
            database.execute("UPDATE TrialJobEvent SET data = ? WHERE rowid = ?", (json.dumps(parameters), rowid))
    with pytest.raises(ExperimentError, match=r"not an HNAS search \(normal/input_2_0: missing"):
        read_experiment(copied)


def test_a_search_as_a_trial_has_an_architecture_at_its_end_only(copied: Path) -> None:
    """What NNI hands it are settings, and none of its reports on the way tells an architecture."""
    with sqlite3.connect(copied / "db" / "nni.sqlite") as database:
        for rowid, data in database.execute("SELECT rowid, data FROM TrialJobEvent WHERE data <> ''").fetchall():
            parameters = {**json.loads(data), "parameters": {"lambda": 0.2, "seed": 7}}
            database.execute("UPDATE TrialJobEvent SET data = ? WHERE rowid = ?", (json.dumps(parameters), rowid))
        database.execute("DELETE FROM MetricData WHERE type = 'FINAL'")
        report = json.dumps(json.dumps({"default": 5.5, "psnr": 28.0, "epoch": 1}))
        database.execute("UPDATE MetricData SET data = ?", (report,))
    on_the_way = read_experiment(copied)
    assert {trial.intermediate for trial in on_the_way.trials} == {(5.5,) * 3, ()}
    with sqlite3.connect(copied / "db" / "nni.sqlite") as database:
        database.execute("DELETE FROM MetricData")
    for experiment in (on_the_way, read_experiment(copied)):
        assert (len(experiment.trials), experiment.measured) == (6, ())
        with pytest.raises(ExperimentError, match="no trial has finished with a result"):
            experiment.ranking()


def test_reads_the_sample_inside_a_nas_experiments_parameters(copied: Path) -> None:
    before = read_experiment(copied)
    with sqlite3.connect(copied / "db" / "nni.sqlite") as database:
        for rowid, data in database.execute("SELECT rowid, data FROM TrialJobEvent WHERE data <> ''").fetchall():
            parameters = json.loads(data)
            parameters["parameters"] = {"status": "frozen", "sample": parameters["parameters"]}
            database.execute("UPDATE TrialJobEvent SET data = ? WHERE rowid = ?", (json.dumps(parameters), rowid))
    assert read_experiment(copied) == before


def test_a_resumed_trial_counts_its_later_reports(copied: Path) -> None:
    """Its parameter id is used again after a resume, and its reports come again."""
    before = read_experiment(copied).trials
    trial = before[0]
    other = Genotype.random(0)
    later = round(max(trial.end.timestamp() for trial in before) * 1000) + 10_000
    with sqlite3.connect(copied / "db" / "nni.sqlite") as database:
        (parameter_id,) = database.execute(
            "SELECT parameterId FROM MetricData WHERE trialJobId = ? LIMIT 1", (trial.id,)
        ).fetchone()
        data = json.dumps({"parameter_id": int(parameter_id), "parameters": other.to_sample()})
        events = [("WAITING", data), ("RUNNING", None)]
        database.executemany(
            "INSERT INTO TrialJobEvent VALUES (?, 'late1', ?, ?, '', 6, '', '')",
            [(later, event, data) for event, data in events],
        )
        database.executemany(
            "INSERT INTO MetricData VALUES (?, 'late1', ?, 'PERIODICAL', ?, ?)",
            [(later + 1, parameter_id, sequence, json.dumps(str(psnr))) for sequence, psnr in [(0, 1), (1, 2), (0, 3)]],
        )
    trials = read_experiment(copied).trials
    assert trials[0] == trial
    assert trials[-1].genotype == other
    assert trials[-1].intermediate == (3.0, 2.0)
    assert (trials[-1].status, trials[-1].end) == ("RUNNING", None)
