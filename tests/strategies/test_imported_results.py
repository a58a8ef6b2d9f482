"""What ``nnictl experiment import`` hands to the tuner: files of other searches, of other programs, of nobody."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from small_spaces import choice
from test_tuner_with_rungs import Manager, make, result

from hnas_nni import Genotype
from hnas_nni.trial.checkpoints import checkpoint_path
from hnas_nni.trial.parameters import OF_TUNER, STAGE, TrialParameters
from strategies import HierarchicalTuner
from strategies.successive_halving import Rung, SuccessiveHalving

SMALL = {"cell/op": choice("conv", "pool", "skip"), "depth": choice(1, 2)}
FITTING = {"cell/op": "pool", "depth": 2}


@pytest.fixture(autouse=True)
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "experiment" / "checkpoint"
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(folder))
    return folder


def small(**arguments: Any) -> HierarchicalTuner:
    tuner = HierarchicalTuner(hidden_size=6, **arguments)
    tuner.update_search_space(SMALL)
    return tuner


def rewards(tuner: HierarchicalTuner) -> list[float]:
    return sorted(json.loads(key)[1] for key in tuner._learnt.elements())


@pytest.mark.parametrize(
    "record",
    [
        None,
        5,
        "a line of text",
        [],
        {},
        {"parameter": FITTING},
        {"value": 1.0},
        {"parameter": None, "value": 1.0},
        {"parameter": "no JSON", "value": 1.0},
        {"parameter": "[" * 100_000, "value": 1.0},
        {"parameter": {}, "value": 1.0},
        {"parameter": {"depth": 2}, "value": 1.0},
        {"parameter": {**FITTING, "depth": 7}, "value": 1.0},
        {"parameter": {**FITTING, "depth": {"a": [2]}}, "value": 1.0},
        {"parameter": {**FITTING, "dropout": 0.5}, "value": 1.0},
        {"parameter": {**FITTING, 7: 7}, "value": 1.0},
        {"parameter": {**FITTING, "stage": "2"}, "value": 1.0},
        {"parameter": {**FITTING, "stage": 0}, "value": 1.0},
        {"parameter": {**FITTING, "stage": 1.5}, "value": 1.0},
        {"parameter": {**FITTING, "stage": True}, "value": 1.0},
        {"parameter": FITTING, "value": None},
        {"parameter": FITTING, "value": "diverged"},
        {"parameter": FITTING, "value": math.nan},
        {"parameter": FITTING, "value": {"loss": 1.0}},
        {"parameter": FITTING, "value": {"default": 1.0, "genotype": 7}},
        {"parameter": FITTING, "value": {"default": 1.0, "genotype": "of nobody"}},
        {"parameter": FITTING, "value": {"default": 1.0, "genotype": str(Genotype.random(0))}},
    ],
    ids=lambda record: repr(record)[:60],
)
def test_what_does_not_fit_is_left_out_with_a_warning(record: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An error would end NNI's dispatcher, and the experiment would wait for ever."""
    fitting = [{"parameter": FITTING, "value": 1.0}, {"parameter": {**FITTING, "depth": 1}, "value": {"default": 2.0}}]
    for arguments in ({}, {"rungs": [[3, 1], [1, 2]]}):
        tuner = small(**arguments)
        caplog.clear()
        with caplog.at_level("WARNING", logger="nni.hnas"):
            tuner.import_data([fitting[0], record, fitting[1]])
        assert rewards(tuner) == [1.0, 2.0]
        (warning,) = caplog.messages
        assert warning.startswith("an imported result is none of this search and is left out: ")
        assert "\n" not in warning and len(warning) < 400
        (Path(tuner._files.folder or "") / "hierarchical_tuner.pt").unlink()


def test_what_a_tuner_adds_to_an_architecture_does_not_matter() -> None:
    """Neither another search's lambda, nor that it had none; its PSNR and cost count, under this tuner's lambda."""
    value = {"default": 7.0, "psnr": 30.0, "gmacs": 10.0}
    expected = 0.9 * 30 - 0.1 * 0.05 * 10
    for added in (
        {},
        {"lambda": 0.2, "cost_scale": 9.0},
        {"lambda": "much"},
        {"stage": 1, "steps": 40},
        {"steps": None},
    ):
        tuner = small(**{"lambda": 0.9})
        tuner.import_data([{"parameter": FITTING | added, "value": value}])
        assert rewards(tuner) == pytest.approx([expected])
        (Path(tuner._files.folder or "") / "hierarchical_tuner.pt").unlink()


def test_choices_come_as_json_text_too_and_an_architecture_is_not_tried_again() -> None:
    tuner = small()
    tuner.import_data([{"parameter": json.dumps(FITTING), "value": 1.0}])
    proposed = tuner.generate_multiple_parameters(list(range(6)))
    assert len(proposed) == 5 and FITTING not in proposed


def exported(tuner: HierarchicalTuner, manager: Manager) -> list[dict[str, Any]]:
    """Let a search run to its end, and return what NNI exports of it."""
    manager.run(tuner)
    return [{"parameter": parameters, "value": result(parameters)} for parameters in manager.finished]


def test_another_search_teaches_the_policy_and_climbs_no_rungs(checkpoint: Path) -> None:
    """Its weights are not here, so that its architectures have to be trained from the first stage on."""
    records = exported(make(seed=7), Manager())
    (checkpoint / "hierarchical_tuner.pt").unlink()
    first = [record for record in records if record["parameter"]["stage"] == 1]
    tuner, manager = make(), Manager(at_a_time=1)
    tuner.import_data(records)
    assert tuner._require_policy().updates == len(first)
    manager.run(tuner)
    assert manager.stages() == {1: 5, 2: 2, 3: 1}
    assert tuner._require_policy().updates == len(first) + 5
    # What is promising elsewhere may be tried here.
    known = {TrialParameters.from_nni(record["parameter"]).genotype for record in records}
    tried = {TrialParameters.from_nni(parameters).genotype for parameters in manager.finished}
    assert known & tried


def test_a_search_with_rungs_teaches_one_without() -> None:
    records = exported(make(seed=7), Manager())
    (Path(make()._files.folder or "") / "hierarchical_tuner.pt").unlink()
    tuner = make(rungs=None)
    tuner.import_data(records)
    assert tuner._require_policy().updates == sum(record["parameter"]["stage"] == 1 for record in records)


def test_where_the_state_is_lost_the_weights_tell_what_goes_on(checkpoint: Path) -> None:
    tuner, manager = make(), Manager(at_a_time=1)
    manager.run(tuner, 6)
    assert manager.stages() == {1: 5, 2: 1}
    for parameters in manager.finished:
        sample = {label: value for label, value in parameters.items() if label not in OF_TUNER}
        weights = checkpoint_path(checkpoint.parent, Genotype.from_sample(sample), parameters[STAGE])
        weights.parent.mkdir(exist_ok=True)
        weights.touch()
    (checkpoint / "hierarchical_tuner.pt").unlink()
    resumed = make()
    manager.resume(resumed)
    manager.run(resumed)
    assert manager.stages() == {1: 5, 2: 2, 3: 1}


def test_a_stopped_trial_has_its_place_but_does_not_go_on() -> None:
    halving = SuccessiveHalving([Rung(3, 1), Rung(1, 1)])
    for name, reward in (("a", 1.0), ("b", 2.0)):
        halving.start(1, name)
        halving.finish(1, name, reward)
    halving.start(1, "c")
    halving.stop(1, "c", 9.0)
    promotion = halving.next()
    assert promotion is not None and (promotion.stage, promotion.architecture) == (2, "b")
    again = SuccessiveHalving([Rung(3, 1), Rung(1, 1)])
    again.load_state_dict(halving.state_dict())
    assert again.next() == promotion
