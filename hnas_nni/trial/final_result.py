"""What a trial has reported, kept in its folder: a trial that NNI runs again reports the same, and trains nothing.

NNI runs a trial again, in its folder and with its parameters, that had not ended when the experiment was killed. Where
the kill came between the final report and the trial's end, it would have two results, and the weights of the second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text

FILE_NAME = "final_result.json"


def note_final_result(folder: Path, parameters: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Keep a result, which is about to be reported.

    Parameters
    ----------
    folder
        The trial's.
    parameters
        What NNI handed to the trial.
    result
        The final metric.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / FILE_NAME) as temporary:
        temporary.write_text(json.dumps({"parameters": parameters, "result": result}), encoding="utf-8")


def noted_final_result(folder: Path, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the result that a trial of these parameters had, None if it had not come to one."""
    try:
        noted = parse_json(read_text(folder / FILE_NAME))
        same = noted["parameters"] == json.loads(json.dumps(parameters))
        return dict(noted["result"]) if same else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # it had none, or somebody has changed the file
        return None
