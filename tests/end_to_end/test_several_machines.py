"""A search by NNI's remote training service over two real sshds: one machine dies in the middle, the search goes on."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from miniature_climb import SETTINGS, climb_config
from nni_experiment import RunExperiment, RunningExperiment
from ssh_machines import Machine, running_machines

from hnas_nni import load
from hnas_nni.cli import main
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.searches import read_experiment
from search_spaces.compat.loopback import PRELOAD
from search_spaces.compat.preload import VARIABLE, node_options

RUNGS = [[4, 4], [1, 4]]
_LIMIT = 300.0


def remote_config(folder: Path, machines: list[Machine], options: str = "") -> dict[str, Any]:
    """Return a configuration as examples/remote_machines.yml, in miniature."""
    code = folder / "code"
    code.mkdir()
    (code / "note.txt").touch()
    config = climb_config(folder)
    config["tuner"]["classArgs"] |= {"rungs": RUNGS, "give_up_after": 1}
    names = ("batch", "patch", "measured-patches", "reports", "limit", "threads")
    sizes = " ".join(f"--{name} {getattr(SETTINGS, name.replace('-', '_'))}" for name in names)
    return config | {
        "trialCommand": f"python -m hnas_nni.trial {sizes} {options}".rstrip(),
        "trialCodeDirectory": str(code),
        "nniManagerIp": "127.0.0.1",
        "trainingService": {"platform": "remote", "machineList": [machine.to_nni() for machine in machines]},
    }


def worker(job: dict[str, Any]) -> int:
    """Return the number of the machine that runs a trial."""
    return int(job["envId"].removeprefix("remote-worker"))


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Return what a condition comes to."""
    end = time.monotonic() + _LIMIT
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.2)
    return found


@dataclass
class RemoteSearch:
    """A search that has come to its end, and what was seen on the way."""

    experiment: RunningExperiment
    machines: list[Machine]
    listening: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    """Trials that ran on the machine that died."""
    before: dict[str, str] = field(default_factory=dict)
    """States of trials when the search was stopped."""


@pytest.fixture(scope="module")
def search(run_experiment: RunExperiment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteSearch]:
    """The second of two machines is killed while it trains; then the search is stopped, the machine is back, resume."""
    folder = tmp_path_factory.mktemp("remote")
    with running_machines(folder, 2) as machines, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, node_options(PRELOAD))
        with run_experiment(folder, remote_config(folder, machines)) as experiment:
            search = RemoteSearch(experiment, machines)
            search.listening = experiment.listening()

            def jobs(*states: str) -> list[dict[str, Any]]:
                return [job for job in experiment.trials() if job["status"] in states]

            wait_for(lambda: {1, 2} <= {worker(job) for job in jobs("SUCCEEDED")}, "a result of each machine")
            wait_for(lambda: 2 in map(worker, jobs("RUNNING")), "a trial on the second machine")
            search.lost = {job["trialJobId"] for job in jobs("RUNNING") if worker(job) == 2}
            machines[1].kill()
            results = len(jobs("SUCCEEDED"))
            wait_for(lambda: len(jobs("SUCCEEDED")) > results, "another result")
            experiment.stop()
            search.before = {trial.id: trial.status for trial in read_experiment(experiment.directory).trials}
            machines[1].start()
            experiment.resume()
            experiment.wait("DONE")
            yield search


def test_a_machine_that_dies_costs_its_running_trials_and_nothing_else(search: RemoteSearch) -> None:
    trials = {trial.id: trial for trial in read_experiment(search.experiment.directory).trials}
    assert {trial.status for trial in trials.values()} <= {"SUCCEEDED", "USER_CANCELED"}
    assert {id for id, state in search.before.items() if state == "USER_CANCELED"} >= search.lost
    assert all(trials[id].status == "SUCCEEDED" for id, state in search.before.items() if state == "SUCCEEDED")
    places = {str(trial.elsewhere) for trial in trials.values() if trial.status == "SUCCEEDED"}
    assert {place.split("/")[4] for place in places} == {"remote-worker1", "remote-worker2"}


def test_the_search_climbs_over_both_machines_to_its_end(search: RemoteSearch) -> None:
    """Each rung has what it promises, but for what was lost; the second goes on from weights of the first."""
    ranking = read_experiment(search.experiment.directory).finished
    by_stage = {stage: [entry for entry in ranking if entry.stage == stage] for stage in (1, 2)}
    assert len(by_stage[2]) == RUNGS[1][0]
    assert len(by_stage[1]) >= RUNGS[0][0] - len(search.lost)
    assert all(entry.steps == RUNGS[0][1] + RUNGS[1][1] for entry in by_stage[2])


def test_the_web_server_is_for_this_machine_alone(search: RemoteSearch) -> None:
    assert search.listening == {"127.0.0.1"} == search.experiment.listening()


def test_the_winner_comes_home(search: RemoteSearch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the machine that trained it; where that can't be, the error says where the file lies."""
    folder = tmp_path / search.experiment.id
    shutil.copytree(search.experiment.directory, folder, ignore=shutil.ignore_patterns("trials"))
    winner = read_experiment(folder).ranking()[0]
    weights = tmp_path / "winner.safetensors"
    assert main(["best", str(folder), "--weights", str(weights)]) == 0
    assert load(weights).architecture == winner.genotype
    (there,) = (
        file
        for machine in search.machines
        for file in machine.home.glob(f"nni-experiments/{folder.name}/environments/*/trials/{winner.trial.id}/*")
        if file.name == MODEL_FILE
    )
    assert (folder / "trials" / winner.trial.id / MODEL_FILE).read_bytes() == there.read_bytes()

    shutil.rmtree(folder / "trials")
    there.rename(there.with_name("moved"))
    capsys.readouterr()
    assert main(["best", str(folder), "--weights", str(tmp_path / "other.safetensors")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    environment, number = there.parts[-4], int(there.parts[-4].removeprefix("remote-worker"))
    assert f"@127.0.0.1:~/nni-experiments/{folder.name}/environments/{environment}/trials/{winner.trial.id}" in error
    assert f"port {search.machines[number - 1].port}" in error and "No such file" in error


def test_why_trials_fail_elsewhere_is_told(
    run_experiment: RunExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        running_machines(tmp_path, 1) as machines,
        run_experiment(tmp_path, remote_config(tmp_path, machines, "--data /no/such/folder")) as experiment,
    ):
        wait_for(lambda: experiment.status() == "ERROR", "the end")
        error = r"the first \d trials failed and none succeeded: hnas trial: error: --data: /no/such/folder"
        assert re.search(error, (experiment.directory / "log" / "nnimanager.log").read_text())
        assert main(["best", str(experiment.directory)]) == 2
        log = Path(capsys.readouterr().err.rpartition("see ")[2].strip())
        assert "--data: /no/such/folder" in log.read_text()


def test_a_machine_that_is_not_there_is_named(
    run_experiment: RunExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_machines(tmp_path, 1) as (machine,):
        machine.kill()
        with run_experiment(tmp_path, remote_config(tmp_path, [machine])) as experiment:
            wait_for(lambda: not experiment.manager_is_alive(), "the manager's end")
            assert main(["best", str(experiment.directory)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"machine {machine.to_nni()['user']}@127.0.0.1 (port {machine.port}): connect ECONNREFUSED" in error
    assert "check host and port, and that sshd runs there" in error
