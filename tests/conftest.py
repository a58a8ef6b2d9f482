"""Fixtures of several folders of tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Several tests run side by side; threads of torch that wait for each other's core would take many times as long. Set
# before torch is loaded, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# ruff: isort: split
from miniature_search import miniature_config
from nni_experiment import RunningExperiment, run_experiment

from hnas_nni import HNAS_A

pytest_plugins = ["photo_task", "tiled_networks", "tiny_training"]

_TRIAL = '''
"""A trial whose figures follow from its architecture, so that a test can tell whose they are."""
import os, sys
if os.environ["NNI_TRIAL_SEQ_ID"] == "2":
    sys.exit("out of memory")  # before it asked for its parameters
import nni
from hnas_nni.trial.parameters import TrialParameters
parameters = TrialParameters.from_nni(nni.get_next_parameter())
position = parameters.genotype.position
for step in range(3):
    psnr = 30 + position / 10 + step
    nni.report_intermediate_result(psnr if step % 2 else {"default": psnr, "step": step})
gmacs = 100.0 / position
nni.report_final_result({
    "default": parameters.reward(psnr, gmacs), "psnr": psnr, "gmacs": gmacs, "params": 1000 * position,
    "genotype": str(parameters.genotype),
})
'''
POSITIONS = (3, 7, 11)
LAMBDAS = (0.2, 0.9)


@pytest.fixture(scope="session")
def finished_search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExperiment]:
    """A real search by nnictl, done but not stopped: 6 trials, 2 at a time, of which number 2 failed.

    The architectures are HNAS-A with the upsampling cell at three places, each with two rewards.
    """
    folder = tmp_path_factory.mktemp("search")
    (folder / "trial.py").write_text(_TRIAL)
    space = {label: {"_type": "choice", "_value": [value]} for label, value in HNAS_A.to_sample().items()}
    for label in space:
        if "input" in label:
            space[label]["_value"] = space[label]["_value"][0]
    space["upsample_position"]["_value"] = list(POSITIONS)
    space["lambda"] = {"_type": "choice", "_value": list(LAMBDAS)}
    (folder / "space.json").write_text(json.dumps(space))
    config = {
        "searchSpaceFile": str(folder / "space.json"),
        "trialCommand": f"{sys.executable} trial.py",
        "trialConcurrency": 2,
        "maxTrialNumber": 6,
        "tuner": {"name": "Random", "classArgs": {"seed": 3}},
    }
    with run_experiment(folder, config) as experiment:
        experiment.wait("DONE")
        yield experiment


@pytest.fixture(scope="session")
def hnas_search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExperiment]:
    """A real search with the shipped tuner and trial, done but not stopped: its web UI can be looked at."""
    folder = tmp_path_factory.mktemp("hnas_search")
    with run_experiment(folder, miniature_config(folder)) as experiment:
        experiment.wait("DONE")
        yield experiment


@pytest.fixture
def nni_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, in place of the user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
