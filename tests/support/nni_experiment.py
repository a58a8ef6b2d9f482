"""Real NNI experiments for tests: start with nnictl, watch over REST, kill, resume, and always stop.

Everything of an experiment lies in a folder of the test: NNI's list of experiments goes to ``<folder>/home``
and the experiments to ``<folder>/experiments``, so that those of the user are never touched.

Seen with NNI 3.0:

- The manager gives its tuner process ten seconds to connect, or the experiment ends in status ERROR. On a
  busy machine that is too short, and :func:`start_experiment` then starts afresh.
- ``nnictl`` gives the web server three seconds, and takes the error page of one that is still starting for an answer;
  it then fails and leaves the manager running, which is killed before another attempt.
- ``nnictl`` prints colours and warnings, so the experiment's id is read from NNI's list and not from the
  output.
- With the web server still starting, a request is refused or answered with an error page. ``nnictl`` itself gives up
  after three seconds, and kills the manager.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from repository import REPOSITORY

NNICTL = Path(sys.executable).with_name("nnictl")
ENDED = ("DONE", "STOPPED", "ERROR", "NO_MORE_TRIAL", "TUNER_NO_MORE_TRIAL")
_SLOW_TUNER = "Tuner did not connect"
_SLOW_SERVER = "Create experiment failed"
_ATTEMPTS = 5
_READS = 100


@dataclass
class RunningExperiment:
    """An experiment that was started by :func:`start_experiment`.

    Parameters
    ----------
    id
        NNI's id of the experiment.
    port
        Port of the web UI and REST API.
    home
        What the experiment's processes see as the home folder.
    working_directory
        Folder of the experiment's folder.
    """

    id: str
    port: int
    home: Path
    working_directory: Path

    @property
    def directory(self) -> Path:
        """Folder of the experiment: db, log, trials, checkpoint."""
        return self.working_directory / self.id

    @property
    def url(self) -> str:
        """Address of the web UI."""
        return f"http://127.0.0.1:{self.port}"

    def rest(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Return the JSON that NNI's REST API answers at `path`, e.g. ``trial-jobs``."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/v1/nni/{path}", data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request) as response:
            text = response.read().decode()
        return json.loads(text) if text.strip() else None

    def status(self) -> str:
        """Return the experiment's status, e.g. RUNNING or DONE."""
        return self.rest("check-status")["status"]

    def trials(self) -> list[dict[str, Any]]:
        """Return the trial jobs as NNI's REST API lists them."""
        return self.rest("trial-jobs")

    def wait(self, *statuses: str) -> str:
        """Wait until the experiment's status is one of `statuses` (DONE if none is given), and return it.

        Raises
        ------
        RuntimeError
            If the manager dies or the experiment ends with another status.
        """
        statuses = statuses or ("DONE",)
        while True:
            try:
                status = self.status()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if not self.manager_is_alive():
                    raise RuntimeError(f"the manager of {self.id} died\n{self.logs()}") from None
                status = ""
            if status in statuses:
                return status
            if status in ENDED and status not in ("NO_MORE_TRIAL", "TUNER_NO_MORE_TRIAL"):
                raise RuntimeError(f"{self.id} ended with status {status}\n{self.logs()}")
            time.sleep(0.3)

    def wait_for_trials(self, number: int, status: str = "SUCCEEDED") -> list[dict[str, Any]]:
        """Wait until at least `number` trials have `status`, and return these.

        Raises
        ------
        RuntimeError
            If the manager dies or the experiment ends before.
        """
        while True:
            ended = not self.manager_is_alive() or self.status() in ("DONE", "STOPPED", "ERROR")
            found = [trial for trial in self.trials() if trial["status"] == status]
            if len(found) >= number:
                return found
            if ended:
                raise RuntimeError(f"{self.id} ended with {len(found)} of {number} trials {status}\n{self.logs()}")
            time.sleep(0.3)

    def manager_is_alive(self) -> bool:
        """Whether NNI's manager process runs."""
        return _is_alive(_known_experiments(self.home)[self.id]["pid"])

    def listening(self) -> set[str]:
        """Return the addresses at which the manager's web server listens."""
        manager = psutil.Process(_known_experiments(self.home)[self.id]["pid"])
        return {socket.laddr.ip for socket in manager.net_connections("tcp") if socket.status == psutil.CONN_LISTEN}

    def stop(self) -> None:
        """Stop the experiment as a user would: ``nnictl stop``."""
        nnictl(self.home, "stop", self.id)

    def kill(self) -> None:
        """Kill manager, tuner and trials without warning, as a crash or a power cut would."""
        _kill_tree(_known_experiments(self.home)[self.id]["pid"])

    def resume(self) -> None:
        """Go on with a stopped or killed experiment: ``nnictl resume``."""
        for _ in range(_ATTEMPTS):
            connections = self._tuner_connections()
            if not _is_up(self.home, self.working_directory, "resume", self.id, "--port", str(self.port)):
                continue
            if not self._tuner_was_too_slow(connections):
                return
            self.stop()
        raise RuntimeError(f"the tuner never connected\n{self.logs()}")

    def logs(self) -> str:
        """Return the ends of the experiment's logs, for messages of failing tests."""
        files = sorted(self.directory.glob("log/*.log")) + sorted(
            self.directory.glob("environments/*/trials/*/trial.stderr")
        )
        return "\n".join(
            f"--- {file.relative_to(self.directory)}\n{file.read_text(errors='replace')[-2000:]}" for file in files
        )

    def _tuner_was_too_slow(self, connections_before: int = 0) -> bool:
        """Wait until the manager knows whether its tuner connected."""
        while self.manager_is_alive() and self._tuner_connections() == connections_before:
            try:
                answer = self.rest("check-status")
            except (urllib.error.URLError, ConnectionError):
                continue
            if answer["status"] == "ERROR":
                return any(_SLOW_TUNER in message for message in answer["errors"])
            if not connections_before and self.trials():  # a manager with another logLevel logs nothing of it
                return False
            time.sleep(0.2)
        return False

    def _tuner_connections(self) -> int:
        """Count how often a tuner connected, by a line that the manager logs right after."""
        log = self.directory / "log" / "nnimanager.log"
        return log.read_text(errors="replace").count("Add event listeners") if log.exists() else 0


def nnictl(home: Path, *arguments: str) -> str:
    """Run ``nnictl`` with another home folder, and return what it printed.

    Raises
    ------
    RuntimeError
        If it fails; with its output.
    """
    done = subprocess.run(
        [NNICTL, *arguments],
        env=_environment(home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise RuntimeError(f"nnictl {' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def start_experiment(folder: Path, config: Mapping[str, Any]) -> RunningExperiment:
    """Start an experiment with ``nnictl create``; who calls this must stop it.

    Parameters
    ----------
    folder
        Folder of the test. Trials run there, if `config` does not say otherwise.
    config
        NNI's experiment configuration, the keys as in a YAML file. Left out, these are added: experiment
        name, `trialCodeDirectory`, `experimentWorkingDirectory`, concurrency 1 and the local training
        service.
    """
    home, working_directory = folder / "home", folder / "experiments"
    file, settings = _write_config(folder, config)
    for _ in range(_ATTEMPTS):
        known = set(_known_experiments(home))
        port = free_port()
        if not _is_up(home, working_directory, "create", "--config", str(file), "--port", str(port)):
            continue
        (id,) = set(_known_experiments(home)) - known
        experiment = RunningExperiment(id, port, home, Path(settings["experimentWorkingDirectory"]))
        try:
            if not experiment._tuner_was_too_slow():
                return experiment
        except BaseException:
            experiment.kill()
            raise
        experiment.stop()
        _forget(home, id)
    raise RuntimeError(f"the tuner never connected, in {_ATTEMPTS} attempts; its log lies in {working_directory}")


@contextmanager
def foreground_experiment(
    folder: Path, config: Mapping[str, Any]
) -> Iterator[tuple[RunningExperiment, subprocess.Popen[str]]]:
    """Run ``nnictl create --foreground``, whose standard output is a pipe; kill what is left of it at the end.

    Parameters
    ----------
    folder, config
        As for :func:`start_experiment`.

    Yields
    ------
    experiment, process
        Once its tuner has connected.
    """
    file, settings = _write_config(folder, config)
    home = folder / "home"
    for _ in range(_ATTEMPTS):
        known, port = set(_known_experiments(home)), free_port()
        process = subprocess.Popen(
            [NNICTL, "create", "--config", str(file), "--port", str(port), "--foreground"],
            env=_environment(home),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None and not (new := set(_known_experiments(home)) - known):
            time.sleep(0.1)
        if process.returncode is not None:
            assert process.stdout is not None
            if _SLOW_SERVER not in (output := process.stdout.read()):
                raise RuntimeError(f"nnictl ended:\n{output}")
            continue
        (id,) = new
        experiment = RunningExperiment(id, port, home, Path(settings["experimentWorkingDirectory"]))
        try:
            if not experiment._tuner_was_too_slow():
                yield experiment, process
                return
        finally:
            experiment.stop()
            process.kill()
            process.wait()
            _forget(home, id)
    raise RuntimeError(f"the tuner never connected, in {_ATTEMPTS} attempts")


def _write_config(folder: Path, config: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Write an experiment's configuration to a folder and make the folders that it names; return both."""
    working_directory = folder / "experiments"
    for made in (folder / "home", working_directory):
        made.mkdir(parents=True, exist_ok=True)
    defaults = {
        "experimentName": "test",
        "trialCodeDirectory": str(folder),
        "experimentWorkingDirectory": str(working_directory),
        "trialConcurrency": 1,
        "trainingService": {"platform": "local"},
    }
    settings = {**defaults, **config}
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file, settings


def _is_up(home: Path, working_directory: Path, *arguments: str) -> bool:
    """Start a manager by ``nnictl``; False where its web server was too slow for that."""
    try:
        nnictl(home, *arguments)
    except RuntimeError as error:
        if _SLOW_SERVER not in str(error):
            raise
        for process in psutil.process_iter(["cmdline"]):
            if (
                str(working_directory) in " ".join(process.info["cmdline"] or ())
                and "--port" in process.info["cmdline"]
            ):
                _kill_tree(process.pid)
        return False
    return True


RunExperiment = Callable[[Path, Mapping[str, Any]], AbstractContextManager[RunningExperiment]]


@pytest.fixture(scope="session")
def run_experiment() -> RunExperiment:
    """Starts an experiment as :func:`start_experiment` does, and ends it with the context, whatever happens."""

    @contextmanager
    def run(folder: Path, config: Mapping[str, Any]) -> Iterator[RunningExperiment]:
        experiment = start_experiment(folder, config)
        try:
            yield experiment
        finally:
            experiment.kill()  # quicker than ``nnictl stop``, a process that imports NNI

    return run


def free_port() -> int:
    """Return a port that nobody listens on, nor on the next one, which trials on other machines need too."""
    while True:
        with socket.socket() as server, socket.socket() as other, suppress(OSError, OverflowError):
            server.bind(("127.0.0.1", 0))
            port: int = server.getsockname()[1]
            other.bind(("127.0.0.1", port + 1))
            return port


def _environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "HOME": str(home), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _known_experiments(home: Path) -> dict[str, dict[str, Any]]:
    """Read NNI's list; NNI rewrites it in place, so for an instant it is empty or torn."""
    file = home / "nni-experiments" / ".experiment"
    for _ in range(_READS):
        if not file.exists():
            return {}
        with suppress(json.JSONDecodeError):
            return json.loads(file.read_text())
        time.sleep(0.1)
    raise RuntimeError(f"{file}: stays damaged")


def _forget(home: Path, id: str) -> None:
    """Take an experiment off NNI's list; ``nnictl experiment delete`` asks on the terminal."""
    known = _known_experiments(home)
    del known[id]
    (home / "nni-experiments" / ".experiment").write_text(json.dumps(known))


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill_tree(pid: int) -> None:
    """Kill a process and all it started; NNI starts trials in sessions of their own."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
    psutil.wait_procs(family)
