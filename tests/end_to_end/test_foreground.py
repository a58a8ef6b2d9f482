"""The terminal of ``nnictl create --foreground``: what it shows in the end, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nni_experiment import foreground_experiment, nnictl
from small_spaces import choice

pytestmark = pytest.mark.nni

_TRIAL = """
import time
import nni
nni.get_next_parameter()
time.sleep(SECONDS)
nni.report_final_result({"default": 30.0, "psnr": 30.0, "gmacs": 1.0})
"""


def config_of(folder: Path, seconds: int, level: str) -> dict[str, Any]:
    """Two architectures, whose trials take so long."""
    (folder / "trial.py").write_text(_TRIAL.replace("SECONDS", str(seconds)))
    return {
        "searchSpace": {"cell/op": choice("conv", "pool")},
        "trialCommand": f"{sys.executable} trial.py",
        "maxTrialNumber": 2,
        "logLevel": level,
        "tuner": {
            "className": "strategies.HierarchicalTuner",
            "codeDirectory": str(folder),
            "classArgs": {"seed": 0, "hidden_size": 8},
        },
    }


def rest_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    return output


@pytest.mark.parametrize("level", ["info", "warning"])  # NNI's default, and that of config.yml
def test_a_search_that_is_stopped_from_elsewhere_says_how_to_go_on(tmp_path: Path, level: str) -> None:
    with foreground_experiment(tmp_path, config_of(tmp_path, seconds=600, level=level)) as (experiment, process):
        experiment.wait_for_trials(1, "RUNNING")
        nnictl(experiment.home, "stop", experiment.id)
        output = rest_of(process)
        assert "Traceback" not in output
        assert process.returncode == -signal.SIGTERM
        assert f"nothing is lost. Go on in the background:  nnictl resume {experiment.id}\n" in output
        experiment.resume()
        experiment.wait_for_trials(1, "RUNNING")


def test_a_search_that_is_done_ends_without_an_error(tmp_path: Path) -> None:
    """Though nnictl stops its manager then, too."""
    with foreground_experiment(tmp_path, config_of(tmp_path, seconds=0, level="warning")) as (_, process):
        output = rest_of(process)
    assert process.returncode == 0
    assert "Traceback" not in output and "elsewhere" not in output
