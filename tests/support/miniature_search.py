"""A search of some seconds that leaves nothing out: the shipped tuner, trial and space, on real photographs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nni_experiment import RunningExperiment

from hnas_nni.trial import TrialSettings
from hnas_nni.trial.reward import JointReward

TRIALS = 4
REWARD = JointReward(0.6)
SETTINGS = TrialSettings(layers=3, channels=4, steps=4, batch=2, patch=24, measured_patches=4, reports=2, threads=1)
SIZES = {"scale": SETTINGS.scale, "channels": SETTINGS.channels, "layers": SETTINGS.layers}


def miniature_config(
    folder: Path, *, trials: int = TRIALS, options: str = "", tuner: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an experiment's configuration for nnictl, after writing its search space to `folder`.

    Parameters
    ----------
    folder
        Where the search space's file goes.
    trials
        How many.
    options
        More options of the trial.
    tuner
        More arguments of the tuner, or other ones.
    """
    space = folder / "space.json"
    space.write_text(_search_space(), encoding="utf-8")
    sizes = " ".join(
        f"--{name} {getattr(SETTINGS, name.replace('-', '_'))}"
        for name in ("layers", "channels", "steps", "batch", "patch", "measured-patches", "reports", "threads")
    )
    return {
        "experimentName": "HNAS in miniature",
        "searchSpaceFile": str(space),
        "trialCommand": f"{sys.executable} -m hnas_nni.trial {sizes} {options}".rstrip(),
        "trialConcurrency": 2,
        "maxTrialNumber": trials,
        "tuner": {
            "className": "strategies.HierarchicalTuner",
            "codeDirectory": str(folder),
            "classArgs": {"lambda": REWARD.weight, "seed": 0, **(tuner or {})},
        },
    }


def final_metrics(experiment: RunningExperiment) -> dict[str, dict[str, Any]]:
    """Return the final metric of each trial that succeeded, by the trial's id, as NNI's REST API has it."""
    return {
        trial["trialJobId"]: json.loads(json.loads(trial["finalMetricData"][0]["data"]))
        for trial in experiment.trials()
        if trial["status"] == "SUCCEEDED"
    }


def policy_history(experiment: RunningExperiment) -> list[dict[str, Any]]:
    """Return what the tuner wrote after each result that it learnt from."""
    from strategies.tuner_files import HISTORY_FILE  # takes a while, and this module is imported for every test

    text = (experiment.directory / "checkpoint" / HISTORY_FILE).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@cache
def _search_space() -> str:
    command = [sys.executable, "-m", "search_spaces", "--layers", str(SETTINGS.layers)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
