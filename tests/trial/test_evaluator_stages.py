"""The evaluator in a search by successive halving: against the trial of the nnictl path, which is computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.mutable import Categorical

from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.network.model_file import load
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.checkpoints import checkpoint_path
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.reward import JointReward

SIZES = {"scale": 2, "channels": 2, "layers": 3}
SETTINGS = TrialSettings(batch=2, patch=24, measured_patches=4, limit=1, seed=3, device="cpu", **SIZES)
EFFICIENT_ONE = replace(Genotype.random(3, space=EFFICIENT), depth=3, width=8, position=3)
PAPER_ONE = Genotype.random(1, layers=3)
STAGES = (Stage(1, 4), Stage(2, 3))
Make = Callable[..., Any]


def by_trial(genotype: Genotype, stage: Stage, folder: Path) -> Any:
    result, _ = evaluate(genotype, JointReward(), Training(SETTINGS, stage=stage, folder=folder))
    return result


def by_evaluator(evaluator: Any, genotype: Genotype, stage: Stage, folder: Path) -> Any:
    torch.manual_seed(3)
    return evaluator.at_stage(stage, str(folder)).evaluate(genotype.build(**SIZES))


@pytest.mark.slow
@pytest.mark.parametrize("genotype", [PAPER_ONE, EFFICIENT_ONE], ids=["paper", "efficient"])
def test_each_stage_has_the_figures_of_the_trial(genotype: Genotype, super_resolution: Make, tmp_path: Path) -> None:
    """To the last digit, also where a stage goes on from what the trial of the other path has left."""
    evaluator = super_resolution(epochs=2)
    expected = [by_trial(genotype, stage, tmp_path / "trial") for stage in STAGES]
    found = [by_evaluator(evaluator, genotype, stage, tmp_path / "evaluator") for stage in STAGES]
    assert found == expected
    assert [(result.stage, result.steps) for result in found] == [(1, 4), (2, 7)]
    assert found[1].psnr != found[0].psnr
    by_trial(genotype, STAGES[0], tmp_path / "both")
    assert by_evaluator(evaluator, genotype, STAGES[1], tmp_path / "both") == expected[1]
    left = torch.load(checkpoint_path(tmp_path / "both", genotype, 2), weights_only=True)
    assert left["steps"] == 7
    assert {float(steps) for _, _, steps in left["optimizer"].values()} == {7.0}


def test_the_first_stage_is_as_many_steps_without_stages(super_resolution: Make, tmp_path: Path) -> None:
    torch.manual_seed(3)
    without = super_resolution(steps_per_epoch=4).evaluate(PAPER_ONE.build(**SIZES))
    with_stages = by_evaluator(super_resolution(), PAPER_ONE, STAGES[0], tmp_path)
    assert replace(with_stages, stage=None) == without


@pytest.mark.parametrize(("steps", "parts"), [(12, 4), (9, 3), (7, 1), (2, 2)])
def test_a_stage_is_measured_in_equal_parts(steps: int, parts: int, super_resolution: Make) -> None:
    evaluator = super_resolution(epochs=4).at_stage(Stage(1, steps))
    assert (evaluator._trainer_kwargs["max_epochs"], len(evaluator.train_dataloaders)) == (parts, steps // parts)


def test_a_stage_travels_to_a_trial(super_resolution: Make) -> None:
    """As what is searched of the evaluator does, beside the architecture."""
    evaluator = super_resolution(learning_rate=Categorical([1e-3, 1e-4], label="rate")).at_stage(Stage(2, 5), "weights")
    copy = nni.load(nni.dump(evaluator.freeze({"rate": 1e-4})))
    assert (copy.stage, copy.module.settings["learning_rate"]) == (Stage(2, 5), 1e-4)
    assert copy.stages == str(Path("weights").absolute())


def test_a_folder_of_the_evaluators_own_goes_before(super_resolution: Make, tmp_path: Path) -> None:
    assert super_resolution(stages=str(tmp_path)).at_stage(STAGES[0], "other").stages == str(tmp_path)


def test_what_is_missing_is_named_in_a_line(super_resolution: Make, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^stages: outside of an experiment of NNI give SuperResolution\(stages=DIR\)$"
    ):
        super_resolution().at_stage(STAGES[0]).evaluate(PAPER_ONE.build(**SIZES))
    with pytest.raises(ValueError, match="no weights to go on from"):
        by_evaluator(super_resolution(), PAPER_ONE, STAGES[1], tmp_path)
    with pytest.raises(ValueError, match=r"^stage: goes with steps"):
        super_resolution(stage=2)


def _as_a_trial(folder: Path, monkeypatch: pytest.MonkeyPatch, *, platform: str = "local") -> list[Any]:
    """Let this process be a trial of experiment "exp"; returns what it reports as final."""
    reported: list[Any] = []
    folder.mkdir(parents=True)
    monkeypatch.setenv("NNI_PLATFORM", platform)
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(folder))
    monkeypatch.setattr(nni, "get_experiment_id", lambda: "exp")
    monkeypatch.setattr(nni, "report_intermediate_result", lambda metric: None)
    monkeypatch.setattr(nni, "report_final_result", reported.append)
    return reported


def test_a_trial_that_nni_runs_again_reports_the_same_and_trains_nothing(
    super_resolution: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill may come between the final report and the end of the trial."""
    from nni.nas.space import SimplifiedModelSpace

    from search_spaces import HNASSpace

    experiment = tmp_path / "exp"
    by_trial(PAPER_ONE, STAGES[0], experiment)
    folder = experiment / "environments" / "local-env" / "trials" / "abc"
    reported = _as_a_trial(folder, monkeypatch)
    space = SimplifiedModelSpace.from_model(HNASSpace(**SIZES), super_resolution().at_stage(STAGES[1]))
    model = space.freeze(PAPER_ONE.to_sample())
    monkeypatch.setattr(nni, "get_current_parameter", lambda: model)
    for _ in range(2):
        model.execute()
        checkpoint = checkpoint_path(experiment, PAPER_ONE, 2)
        assert torch.load(checkpoint, weights_only=True)["steps"] == 7
    assert reported[0] == reported[1]
    assert (reported[0]["stage"], reported[0]["steps"]) == (2, 7)
    assert load(folder / "model.safetensors").genotype == PAPER_ONE


def test_on_several_machines_a_common_folder_is_asked_for(
    super_resolution: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_a_trial(tmp_path / "exp" / "trial", monkeypatch, platform="remote")
    with pytest.raises(ValueError, match=r"^rungs: the next stage may run on another machine; give SuperResolution"):
        super_resolution().at_stage(STAGES[0]).evaluate(PAPER_ONE.build(**SIZES))
