"""A search by successive halving of some seconds: the efficient space, under a budget, with the shipped tuner."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hnas_nni.trial import TrialSettings
from search_spaces.json_file import search_space_path

BUDGET = 1.0
RUNGS = [[3, 4], [2, 4], [1, 6]]
SETTINGS = TrialSettings(batch=2, patch=24, measured_patches=4, reports=2, limit=2, threads=1)


def climb_config(folder: Path) -> dict[str, Any]:
    """Return the experiment's configuration for nnictl; as in config.yml the tuner ends it."""
    return {
        "experimentName": "HNAS climbs",
        "searchSpaceFile": str(search_space_path(space="efficient")),
        "trialCommand": trial_command(),
        "trialConcurrency": 2,
        "maxTrialNumber": 1000,
        "tuner": {
            "className": "strategies.HierarchicalTuner",
            "codeDirectory": str(folder),
            "classArgs": {"budget": BUDGET, "rungs": RUNGS, "seed": 0},
        },
    }


def trial_command(options: str = "") -> str:
    """Return the trials' command; with more options."""
    names = ("batch", "patch", "measured-patches", "reports", "limit", "threads")
    sizes = " ".join(f"--{name} {getattr(SETTINGS, name.replace('-', '_'))}" for name in names)
    return f"{sys.executable} -m hnas_nni.trial {sizes} {options}".rstrip()
