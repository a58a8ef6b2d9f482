"""A tuner that takes longer to start than NNI has patience for, as on a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nni_experiment import nnictl, start_experiment
from small_spaces import choice

from search_spaces.compat.preload import VARIABLE

_SLOW = """
import time
from strategies import HierarchicalTuner
time.sleep(12)
class SlowTuner(HierarchicalTuner):
    pass
"""
_TRIAL = """
import nni
nni.get_next_parameter()
nni.report_final_result({"default": 30.0, "psnr": 30.0, "gmacs": 1.0})
"""


def test_with_the_documented_line_nni_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(_SLOW)
    (tmp_path / "trial.py").write_text(_TRIAL)
    command = [sys.executable, "-m", "search_spaces.compat.patience"]
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    monkeypatch.setenv(VARIABLE, line)
    config = {
        "searchSpace": {"cell/op": choice("conv", "pool")},
        "trialCommand": f"{sys.executable} trial.py",
        "maxTrialNumber": 1,
        "tuner": {"className": "slow.SlowTuner", "codeDirectory": str(tmp_path), "classArgs": {"hidden_size": 8}},
    }
    started = time.monotonic()
    experiment = start_experiment(tmp_path, config)
    try:
        assert time.monotonic() - started > 11
        (trial,) = experiment.wait_for_trials(1)
        assert json.loads(json.loads(trial["finalMetricData"][0]["data"]))["psnr"] == 30
        # At the first attempt: what failed would be among NNI's experiments no more, but its folder stays.
        assert len(list((tmp_path / "experiments").glob("*/log/nnimanager.log"))) - 1 == 1  # beside the link _latest
    finally:
        nnictl(experiment.home, "stop", experiment.id)
