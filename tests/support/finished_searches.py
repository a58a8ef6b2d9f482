"""Real searches by nnictl, done but not stopped, for all tests that read one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from miniature_climb import climb_config
from miniature_search import TRIALS, miniature_config, policy_history
from nni_experiment import RunningExperiment
from trial_manager import wait_until

from hnas_nni import HNAS_A

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
def finished_search(share_experiment: Callable[..., RunningExperiment]) -> RunningExperiment:
    """A real search by nnictl, done but not stopped: 6 trials, 2 at a time, of which number 2 failed.

    The architectures are HNAS-A with the upsampling cell at three places, each with two rewards.
    """
    return share_experiment("finished_search", _configuration)


def _configuration(folder: Path) -> dict[str, Any]:
    (folder / "trial.py").write_text(_TRIAL)
    space = {label: {"_type": "choice", "_value": [value]} for label, value in HNAS_A.to_sample().items()}
    for label in space:
        if "input" in label:
            space[label]["_value"] = space[label]["_value"][0]
    space["upsample_position"]["_value"] = list(POSITIONS)
    space["lambda"] = {"_type": "choice", "_value": list(LAMBDAS)}
    (folder / "space.json").write_text(json.dumps(space))
    return {
        "searchSpaceFile": str(folder / "space.json"),
        "trialCommand": f"{sys.executable} trial.py",
        "trialConcurrency": 2,
        "maxTrialNumber": 6,
        "tuner": {"name": "Random", "classArgs": {"seed": 3}},
    }


@pytest.fixture(scope="session")
def hnas_search(share_experiment: Callable[..., RunningExperiment]) -> RunningExperiment:
    """A real search with the shipped tuner and trial, done but not stopped: its web UI can be looked at."""
    experiment = share_experiment("hnas_search", miniature_config)
    # NNI calls it done when the last trial is; the tuner may still be learning from that.
    wait_until(lambda: len(policy_history(experiment)) >= TRIALS, "the last result in the policy's history")
    return experiment


@pytest.fixture(scope="session")
def finished_climb(share_experiment: Callable[..., RunningExperiment]) -> RunningExperiment:
    """A real search of the efficient space by successive halving under a budget, which its tuner has ended."""
    return share_experiment("finished_climb", climb_config)
