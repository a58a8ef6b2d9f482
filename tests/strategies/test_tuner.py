"""The tuner by itself: arguments, results in any order, failures, state."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nni import NoMoreTrialError
from small_spaces import choice

from hnas_nni import Genotype
from hnas_nni.trial.parameters import TrialParameters
from hnas_nni.trial.reward import JointReward
from search_spaces import search_space_path
from strategies import HierarchicalTuner
from strategies import tuner as tuner_module
from strategies.nni_manager import StoppedTrial

SPACE = json.loads(search_space_path().read_text())


@pytest.fixture(autouse=True)
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))
    return tmp_path / "checkpoint"


def _tuner(**arguments: Any) -> HierarchicalTuner:
    tuner = HierarchicalTuner(**arguments)
    tuner.update_search_space(SPACE)
    return tuner


def _metric(parameters: dict[str, Any], psnr: float = 30.0) -> dict[str, Any]:
    genotype = TrialParameters.from_nni(parameters).genotype
    return {"default": 0.0, "psnr": psnr, "gmacs": 5.0, "params": 1, "genotype": str(genotype)}


def _learnt(tuner: HierarchicalTuner) -> dict[str, int]:
    return dict(tuner._learnt)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lambda": 2}, "lambda: 2 is not valid; give "),
        ({"lambda": "0.6"}, "lambda: '0.6' is not valid"),
        ({"lambda": 0.6, "cost_scale": -1}, "cost_scale: -1 is not valid"),
        ({"cost_scale": 0.1}, "cost_scale: has no effect without lambda"),
        ({"lamda": 0.6}, "lamda is unknown; valid are baseline_decay, .*lambda"),
        ({"conditioned": 1}, "conditioned: 1 is not valid; give true or false"),
        ({"levels": ["upsample_position"]}, r"levels: \['upsample_position'\] is not valid; give "),
        ({"levels": {"netwrk": ["upsample_position"]}}, "levels: .* is not valid; give "),
        ({"levels": {"cells": ["normal/*"]}}, "levels: cells: .* is not valid; give "),
        ({"levels": {"cells": {"normal": [2]}}}, r"levels: cells: normal: \[2\] is not valid; give a list of labels"),
        ({"optimize_mode": "minimize"}, "optimize_mode: 'minimize' is not valid"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^HierarchicalTuner: classArgs: {message}"):
        HierarchicalTuner(**arguments)


@pytest.mark.slow
def test_the_tuner_is_made_without_torch() -> None:
    """NNI gives a tuner ten seconds to be made and to connect."""
    code = "import sys; from strategies import HierarchicalTuner as T; T(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_samples_are_architectures_of_the_space_with_the_reward_to_use() -> None:
    for parameters in _tuner(**{"lambda": 0.2, "cost_scale": 0.5}).generate_multiple_parameters(list(range(20))):
        read = TrialParameters.from_nni(parameters)
        assert read.reward == JointReward(0.2, 0.5)
        read.genotype.check_layers(12)
    assert "lambda" not in _tuner().generate_parameters(0)


def test_results_come_late_and_in_any_order() -> None:
    tuner = _tuner(**{"lambda": 0.6})
    asked = tuner.generate_multiple_parameters(list(range(6)))
    for number in (4, 0, 5):
        tuner.receive_trial_result(number, asked[number], _metric(asked[number], 30 + number))
    more = tuner.generate_multiple_parameters([6, 7])
    for number, parameters in ((7, more[1]), (1, asked[1])):
        tuner.receive_trial_result(number, parameters, _metric(parameters, 25))
    assert sum(_learnt(tuner).values()) == 5
    assert tuner._require_policy().updates == 5


def test_failed_trials_and_broken_results_leave_the_policy_alone() -> None:
    tuner = _tuner(**{"lambda": 0.6})
    parameters = tuner.generate_multiple_parameters([0, 1, 2])
    before = {name: value.clone() for name, value in tuner._require_policy().controller.state_dict().items()}
    tuner.trial_end(0, success=False)
    tuner.receive_trial_result(1, parameters[1], {"default": math.nan})
    tuner.receive_trial_result(2, parameters[2], "diverged")
    after = tuner._require_policy().controller.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not _learnt(tuner)


@pytest.mark.parametrize("included", [False, True], ids=["", "NNI_INCLUDE_INTERMEDIATE_RESULTS"])
@pytest.mark.parametrize("by_assessor", [False, True], ids=["by a person", "by an assessor"])
def test_a_stopped_trial_teaches_once_what_it_showed(
    included: bool, by_assessor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reward, also where NNI tells what an assessor stopped as if it were a final result."""
    told = {"NNI_INCLUDE_INTERMEDIATE_RESULTS": str(included).lower(), "NNI_MODE": "create", "SDK_PROCESS": ""}
    monkeypatch.setattr(tuner_module, "dispatcher_env_vars", SimpleNamespace(**told))
    tuner = _tuner(**{"lambda": 0.9})
    parameters = tuner.generate_parameters(0)
    shown = {"default": 7.0, "psnr": 30.0, "gmacs": 5.0}
    stopped = StoppedTrial("one", {"parameter": parameters, "value": shown})
    monkeypatch.setattr(tuner_module, "stopped_trials", lambda: [stopped])
    if included and by_assessor:
        tuner.receive_trial_result(0, parameters, shown, trial_job_id="one")
    tuner.trial_end(0, success=False)
    (key,) = tuner._learnt.elements()
    assert json.loads(key)[1] == pytest.approx(0.9 * 30 - 0.1 * 0.05 * 5)
    assert not tuner._failures


def test_a_search_in_which_everything_fails_ends() -> None:
    tuner = _tuner(give_up_after=2)
    for number in range(2):
        tuner.generate_parameters(number)
        tuner.trial_end(number, success=False)
    assert tuner.generate_multiple_parameters([2, 3]) == []
    with pytest.raises(NoMoreTrialError):
        tuner.generate_parameters(4)


def test_the_reward_is_that_of_our_lambda_whatever_the_trial_was_told() -> None:
    tuner = _tuner(**{"lambda": 0.9})
    parameters = tuner.generate_parameters(0)
    tuner.receive_trial_result(0, parameters, _metric(parameters, 30.0))
    assert tuner._require_policy().baseline.mean == pytest.approx(0.9 * 30 - 0.1 * 0.05 * 5)


@pytest.mark.slow
def test_a_tuner_made_anew_goes_on_exactly() -> None:
    whole = _tuner(seed=5)
    for number in range(3):
        parameters = whole.generate_parameters(number)
        whole.receive_trial_result(number, parameters, float(number))
    resumed = _tuner(seed=5)
    assert _learnt(resumed) == _learnt(whole)
    for number in range(3, 6):
        a, b = whole.generate_parameters(number), resumed.generate_parameters(number)
        assert a == b
        for tuner in (whole, resumed):
            tuner.receive_trial_result(number, a, number % 3)


def test_a_kill_while_saving_leaves_the_last_whole_state(checkpoint: Path) -> None:
    tuner = _tuner()
    tuner.receive_trial_result(0, tuner.generate_parameters(0), 1.0)
    whole = (checkpoint / "hierarchical_tuner.pt").read_bytes()
    (checkpoint / ".hierarchical_tuner.pt.12345678").write_bytes(whole[: len(whole) // 2])
    resumed = _tuner()
    assert _learnt(resumed) == _learnt(tuner)
    assert resumed.generate_parameters(1) == tuner.generate_parameters(1)


def test_a_damaged_state_is_named_with_what_to_do(checkpoint: Path) -> None:
    tuner = _tuner()
    results = []
    for number in range(2):
        parameters = tuner.generate_parameters(number)
        results.append({"parameter": parameters, "value": float(number)})
        tuner.receive_trial_result(number, parameters, float(number))
    state = checkpoint / "hierarchical_tuner.pt"
    whole = state.read_bytes()
    for content in (whole[:200], whole[:-50], b"", b"not a state"):
        state.write_bytes(content)
        with pytest.raises(ValueError, match=r"is damaged .*; move it away and resume again") as caught:
            _tuner()
        assert str(caught.value).startswith(f"HierarchicalTuner: {state}: ")
        assert "\n" not in str(caught.value)
    state.unlink()
    anew = _tuner()
    anew.import_data(results)  # NNI tells them on a resume
    assert _learnt(anew) == _learnt(tuner)


def test_a_space_that_is_exhausted_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before all that NNI was given has ended: it would start nothing more."""
    ended: list[bool] = []
    monkeypatch.setattr(tuner_module, "end_experiment", lambda: ended.append(True))
    space = {"cell/op": choice("conv", "pool", "skip"), "depth": choice(1, 2)}
    tuner = HierarchicalTuner()
    tuner.update_search_space(space)
    tried: dict[int, dict[str, Any]] = {}
    for first in range(0, 8, 2):
        given = tuner.generate_multiple_parameters([first, first + 1])
        assert len(given) == (2 if first < 6 else 0)
        tried |= zip((first, first + 1), given, strict=False)
        if first == 2:
            tuner.trial_end(2, success=False)  # is not tried again
        for number in (0, 1) if first == 2 else ():
            tuner.receive_trial_result(number, tried[number], float(number))
            tuner.trial_end(number, success=True)
    assert len({json.dumps(parameters) for parameters in tried.values()}) == len(tried) == 6
    assert not ended
    for number in (3, 5, 4):
        assert not ended
        tuner.receive_trial_result(number, tried[number], float(number))
        assert not ended
        tuner.trial_end(number, success=True)
    assert ended == [True]
    with pytest.raises(NoMoreTrialError, match="no trial is left"):
        tuner.generate_parameters(8)


def test_import_learns_only_what_is_new() -> None:
    tuner = _tuner(**{"lambda": 0.6})
    asked = tuner.generate_multiple_parameters([0, 1, 2])
    tuner.receive_trial_result(0, asked[0], _metric(asked[0]))
    resumed = _tuner(**{"lambda": 0.6})
    resumed.import_data([{"parameter": parameters, "value": _metric(parameters)} for parameters in asked])
    assert list(_learnt(resumed).values()) == [1, 1, 1]
    resumed.import_data([{"parameter": parameters, "value": _metric(parameters)} for parameters in asked])
    assert list(_learnt(resumed).values()) == [1, 1, 1]


def test_import_takes_the_architecture_from_the_result() -> None:
    """NNI 3.0 pairs results with the parameters of other trials."""
    tuner = _tuner(**{"lambda": 0.6})
    asked = tuner.generate_multiple_parameters([0, 1])
    for number, parameters in enumerate(asked):
        tuner.receive_trial_result(number, parameters, _metric(parameters, 30 + number))
    before = _learnt(tuner)
    swapped = [
        {"parameter": asked[1], "value": _metric(asked[0], 30)},
        {"parameter": asked[0], "value": _metric(asked[1], 31)},
    ]
    tuner.import_data(swapped)
    assert _learnt(tuner) == before


def test_other_spaces_are_refused_by_label() -> None:
    with pytest.raises(ValueError, match=r"^HierarchicalTuner: dropout"):
        HierarchicalTuner().update_search_space(SPACE | {"dropout": {"_type": "uniform", "_value": [0, 1]}})


@pytest.mark.parametrize(
    "changed",
    [
        SPACE | {"upsample_position": {"_type": "choice", "_value": [1, 2]}},
        SPACE | {"dropout": {"_type": "uniform", "_value": [0, 1]}},
        {"x": 5},
        [],
    ],
    ids=["fewer", "continuous", "no space", "list"],
)
def test_a_space_stays_as_it_was_when_the_search_began(changed: Any, caplog: pytest.LogCaptureFixture) -> None:
    """``nnictl update searchspace`` while it runs, and what a later ``nnictl resume`` finds in NNI's database."""
    tuner = _tuner()
    tuner.receive_trial_result(0, tuner.generate_parameters(0), 1.0)
    with caplog.at_level("ERROR", logger="nni.hnas"):
        tuner.update_search_space(changed)
        assert caplog.text.count("it can't change during a search and stays as it was") == 1
        resumed = HierarchicalTuner()
        resumed.update_search_space(changed)
    assert caplog.text.count("it can't change during a search and stays as it was") == 2
    assert _learnt(resumed) == _learnt(tuner)
    assert resumed.generate_parameters(1) == tuner.generate_parameters(1)
    caplog.clear()
    resumed.update_search_space(SPACE)
    assert not caplog.text


def test_levels_say_what_is_decided_last() -> None:
    """Conditioning shows it: what the network level does depends on each cell's choices, and no cell on another's."""
    space = {name: {"_type": "choice", "_value": [0, 1, 2]} for name in ("a1", "a2", "b1", "depth")}
    tuner = HierarchicalTuner(levels={"cells": {"a": ["a*"], "b": ["b1"]}, "network": ["depth"]})
    tuner.update_search_space(space)
    layout = tuner._require_agent().layout
    assert [(level.name, [d.label for d in level.decisions]) for level in layout.levels] == [
        ("a", ["a1", "a2"]),
        ("b", ["b1"]),
        ("network", ["depth"]),
    ]
    controller = tuner._require_policy().controller
    choices = torch.tensor([[0, 0, 0, 0], [2, 0, 0, 0], [0, 0, 2, 0]])
    first, other_a, other_b = controller.network_probabilities(choices)["depth"]
    assert not torch.allclose(first, other_a, atol=1e-6)
    assert not torch.allclose(first, other_b, atol=1e-6)
    parameters = tuner.generate_parameters(0)
    assert set(parameters) == set(space)
    tuner.receive_trial_result(0, parameters, 1.0)
    # A resumed experiment with other levels would read its weights into another controller.
    with pytest.raises(ValueError, match="was saved for another search space"):
        HierarchicalTuner().update_search_space(space)
    again = HierarchicalTuner(levels={"cells": {"a": ["a*"], "b": ["b1"]}, "network": ["depth"]})
    again.update_search_space(space)
    assert _learnt(again) == _learnt(tuner)


def test_levels_that_do_not_fit_the_space_are_refused_by_label() -> None:
    with pytest.raises(ValueError, match=r"levels: network: no choice of this space is called dept$"):
        HierarchicalTuner(levels={"network": ["dept"]}).update_search_space(SPACE)
    with pytest.raises(ValueError, match=r"^HierarchicalTuner: normal/\w+: belongs to two levels"):
        levels = {"cells": {"one": ["normal/*"], "two": ["normal/*", "upsampling/*"]}}
        HierarchicalTuner(levels=levels).update_search_space(SPACE)


def test_history_tells_how_the_policy_moves(checkpoint: Path) -> None:
    tuner = _tuner()
    for number in range(2):
        tuner.receive_trial_result(number, tuner.generate_parameters(number), float(number))
    lines = [json.loads(line) for line in (checkpoint / "policy.jsonl").read_text().splitlines()]
    assert [line["result"] for line in lines] == [1, 2]
    assert sum(lines[1]["probabilities"]["upsample_position"]) == pytest.approx(1, abs=1e-3)
    assert {"entropy/normal", "entropy/upsampling", "entropy/network"} <= set(lines[1])


def test_a_kill_between_history_and_state_leaves_no_line_twice(checkpoint: Path) -> None:
    tuner = _tuner()
    tuner.receive_trial_result(0, tuner.generate_parameters(0), 1.0)
    history = checkpoint / "policy.jsonl"
    saved = history.read_text()
    history.write_text(saved + saved.replace('"result": 1', '"result": 2') + '{"result": 3, "rew')
    _tuner()
    assert history.read_text() == saved


def test_genotypes_survive_the_way_through_nni() -> None:
    parameters = _tuner().generate_parameters(0)
    genotype = TrialParameters.from_nni(json.loads(json.dumps(parameters))).genotype
    assert Genotype.from_string(_metric(parameters)["genotype"]) == genotype
