"""The tuner with results of any kind and without room on the disk: an error would end NNI's dispatcher."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from full_disk import no_room

from search_spaces import search_space_path
from strategies import HierarchicalTuner

SPACE = json.loads(search_space_path().read_text())


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))
    return tmp_path / "checkpoint"


def tuner_of(**arguments: Any) -> HierarchicalTuner:
    tuner = HierarchicalTuner(**arguments)
    tuner.update_search_space(SPACE)
    return tuner


@pytest.mark.parametrize("odd", [None, [31.0], "31", {"y": 31.0}, True, math.nan, 10**400])
def test_a_result_of_an_odd_kind_is_not_learnt(checkpoint: Path, odd: Any) -> None:
    tuner = tuner_of(**{"lambda": 0.6})
    results = [odd, {"default": odd}, {"psnr": odd, "gmacs": 5.0}, {"default": 1.0, "psnr": 31.0, "gmacs": odd}]
    for number, parameters in enumerate(tuner.generate_multiple_parameters(list(range(len(results))))):
        tuner.receive_trial_result(number, parameters, results[number])
    learnt = [json.loads(key)[1] for key in tuner._learnt]
    # What is not there at all is not held against a result that has a reward of its own.
    assert learnt == ([1.0] if odd is None else [])
    tuner.import_data([{"parameter": {}, "value": odd}, {"parameter": {"depth": odd}, "value": {"genotype": odd}}])
    assert tuner._learnt.total() == len(learnt)


def test_without_room_the_search_goes_on(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    tuner = tuner_of()
    first, second, third = tuner.generate_multiple_parameters([0, 1, 2])
    tuner.receive_trial_result(0, first, 1.0)
    with caplog.at_level("ERROR", logger="nni.hnas"), no_room():
        tuner.receive_trial_result(1, second, 2.0)
    assert f"{checkpoint / 'hierarchical_tuner.pt'}: File too large; the search goes on" in caplog.text
    assert tuner._learnt.total() == 2
    assert tuner_of()._learnt.total() == 1  # what was saved before is whole
    tuner.receive_trial_result(2, third, 3.0)
    assert tuner_of()._learnt.total() == 3
    lines = [json.loads(line)["result"] for line in (checkpoint / "policy.jsonl").read_text().splitlines()]
    assert lines in ([1, 3], [1, 2, 3])
