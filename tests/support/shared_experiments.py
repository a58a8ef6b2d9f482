"""NNI experiments that all workers of a run look at: the first that needs one starts it, the end of the run stops it.

A session fixture of pytest belongs to one worker of xdist, and each would start an experiment of its own. Here they
meet in a folder of the run. The controller, which outlives the workers, stops what was started, whatever becomes of
them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from nni_experiment import RunningExperiment, start_experiment

_FOLDER = "shared_experiments"
_STATE = "experiment.json"


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, unless this is a worker that was told of it."""
    given = getattr(config, "workerinput", None)
    folder = tempfile.mkdtemp(prefix="hnas-tests-") if given is None else given[_FOLDER]
    config.stash[_KEY] = Path(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist of the run's folder."""
    node.workerinput[_FOLDER] = str(node.config.stash[_KEY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the experiments when all workers are done."""
    if hasattr(config, "workerinput"):
        return
    for state in config.stash[_KEY].glob(f"*/{_STATE}"):
        _read(state).kill()
    shutil.rmtree(config.stash[_KEY], ignore_errors=True)


@pytest.fixture(scope="session")
def share_experiment(pytestconfig: pytest.Config) -> Callable[[str, Callable[[Path], Mapping[str, Any]]], Any]:
    """Returns the finished experiment of a name; a function makes its configuration in the folder that it is given."""

    def share(name: str, configure: Callable[[Path], Mapping[str, Any]]) -> RunningExperiment:
        folder = pytestconfig.stash[_KEY] / name
        folder.mkdir(exist_ok=True)
        state = folder / _STATE
        with FileLock(folder / "lock"):
            if not state.exists():
                state.write_text(_written(start_experiment(folder, configure(folder))))
        experiment = _read(state)
        experiment.wait("DONE")
        return experiment

    return share


def _written(experiment: RunningExperiment) -> str:
    return json.dumps(asdict(experiment), default=str)


def _read(state: Path) -> RunningExperiment:
    values = json.loads(state.read_text())
    folders = {name: Path(values[name]) for name in ("home", "working_directory")}
    return RunningExperiment(**{**values, **folders})


_KEY = pytest.StashKey[Path]()
