"""A process that starts trials as NNI's manager does: in bash, told by the environment, and with files for results."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from hnas_nni import Genotype

_CODE = """
import subprocess, sys
for line in sys.stdin:
    print(subprocess.Popen(["bash", line.strip()], stdout=subprocess.DEVNULL).pid, flush=True)
"""
_LIMIT = 300.0
"""Seconds after which a test gives up what should happen soon."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not for long; with `what` was waited for.
    """
    end = time.monotonic() + _LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs, and is not merely waited for."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class StartedTrial:
    """A trial's folder and NNI's process of it."""

    folder: Path
    script: psutil.Process

    def client(self) -> psutil.Process:
        """Return the process that the trial's command started."""
        wait_until(self.script.children, "the trial's command")
        (process,) = self.script.children()
        return process

    def wait(self) -> int:
        """Wait for the end, and return the exit code as the shell sees it."""
        state = self.folder / ".nni" / "state"
        wait_until(lambda: state.exists() and state.read_text(), f"the end of {self.folder.name}")
        return int(state.read_text())

    def text(self, stream: str) -> str:
        """Return what the trial wrote to ``stdout`` or ``stderr``."""
        return (self.folder / stream).read_text()

    def metrics(self) -> list[dict]:
        """Return what the trial told NNI."""
        lines = (self.folder / ".nni" / "metrics").read_text().splitlines()
        return [json.loads(line[len("ME") + 6 :]) for line in lines]


class TrialManager:
    """The manager of an experiment.

    Parameters
    ----------
    folder
        Folder of the experiment's folder.
    experiment
        Its id.
    environment
        Environment of all trials, beside the test's own.
    genotype
        What the tuner proposes to every trial.
    """

    def __init__(self, folder: Path, experiment: str, environment: dict[str, str], genotype: Genotype) -> None:
        self.experiment = experiment
        self.folder = folder / experiment
        (self.folder / "log").mkdir(parents=True)
        self._parameters = {"parameter_id": 0, "parameters": genotype.to_sample(), "parameter_source": "algorithm"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE, "--experiment-id", experiment],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, name: str, *arguments: str, **environment: str) -> StartedTrial:
        """Start a trial with options and variables of its own."""
        folder = self.folder / "trials" / name
        (folder / ".nni").mkdir(parents=True)
        (folder / "parameter.cfg").write_text(json.dumps(self._parameters))
        variables = {
            "NNI_PLATFORM": "local",
            "NNI_EXP_ID": self.experiment,
            "NNI_SYS_DIR": folder,
            "NNI_TRIAL_JOB_ID": name,
            "NNI_OUTPUT_DIR": folder,
            "NNI_TRIAL_SEQ_ID": 7,
            "NNI_CODE_DIR": self.folder,
            **environment,
        }
        command = shlex.join([sys.executable, "-m", "hnas_nni.trial", *arguments])
        script = folder / "run.sh"
        script.write_text(
            "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in variables.items())
            + f"cd $NNI_CODE_DIR\neval {shlex.quote(command)} 1>{folder}/stdout 2>{folder}/stderr\n"
            + f"echo $? >{folder}/.nni/state\n"
        )
        assert self._process.stdin and self._process.stdout
        print(script, file=self._process.stdin, flush=True)
        return StartedTrial(folder, psutil.Process(int(self._process.stdout.readline())))

    def log(self) -> str:
        """Return what the experiment's server wrote."""
        return (self.folder / "log" / "trial_server.log").read_text()

    def server(self) -> psutil.Process:
        """Return the process that the trials' server is, the latest of them."""
        (*_, line) = [line for line in self.log().splitlines() if "has imported" in line]
        return psutil.Process(int(line.split(" process ")[1].split()[0]))

    def end(self) -> None:
        """End the manager without a word to the trials."""
        self._process.kill()
        self._process.communicate()
