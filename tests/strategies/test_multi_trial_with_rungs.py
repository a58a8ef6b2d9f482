"""The multi-trial strategy in a search by successive halving, in NNI's own engines."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nas_process import MENDED_START, finish_nas, kill_nas, start_nas
from nni.nas.evaluator import Evaluator, FunctionalEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ModelStatus, SimplifiedModelSpace

from hnas_nni import Genotype
from hnas_nni.cli import main
from hnas_nni.cost import cost_table
from hnas_nni.data import fixed_patches, load_splits
from hnas_nni.network.model_file import load
from hnas_nni.searches.nni.experiment import read_experiment
from hnas_nni.training.step import patch_psnr
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.checkpoints import checkpoint_path
from hnas_nni.trial.parameters import Stage
from hnas_nni.trial.reward import JointReward
from search_spaces import HNASSpace, MendedNasExperiment
from strategies import HierarchicalRL, multi_trial

SIZES = {"scale": 2, "channels": 2, "layers": 3}
RUNGS = [[5, 3], [2, 4], [1, 6]]
SETTINGS: dict[str, Any] = {"seed": 1, "hidden_size": 6, "candidates": 4, "rungs": RUNGS}
Make = Callable[..., Any]


class Staged(Evaluator):
    """Rewards that follow from architecture and stage, and go down from stage to stage; trains nothing."""

    def __init__(self, stage: Stage | None = None, *, worst: frozenset[str] = frozenset()) -> None:
        self.stage = stage
        self.stages = "none"
        self.worst = worst
        self.does: Callable[[int, str], object] = lambda stage, architecture: None

    def at_stage(self, stage: Stage, folder: str | None = None) -> Staged:
        of_stage = Staged(stage, worst=self.worst)
        of_stage.does = lambda *arguments: self.does(*arguments)
        return of_stage

    def reward(self, architecture: str) -> float:
        drawn = int(hashlib.sha256(architecture.encode()).hexdigest()[:8], 16) / 2**32
        assert self.stage is not None
        return drawn - 2 * (architecture in self.worst) - self.stage.number

    def _execute(self, model: Any) -> None:
        assert self.stage is not None
        architecture = key(model.sample)
        self.does(self.stage.number, architecture)
        nni.report_final_result({"default": self.reward(architecture), "stage": self.stage.number})


def key(sample: dict[str, Any]) -> str:
    return str(Genotype.from_sample(sample))


def space(evaluator: Any, **differing: Any) -> SimplifiedModelSpace:
    model_space: SimplifiedModelSpace = SimplifiedModelSpace.from_model(HNASSpace(**{**SIZES, **differing}), evaluator)
    return model_space


def efficient(evaluator: Any) -> SimplifiedModelSpace:
    model_space: SimplifiedModelSpace = SimplifiedModelSpace.from_model(HNASSpace(space="efficient"), evaluator)
    return model_space


def stages(models: Any) -> dict[int, dict[str, float]]:
    """By stage the rewards of its architectures, each of which it has once."""
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for model in models:
        stage = model.evaluator.stage.number
        assert key(model.sample) not in found[stage]
        if model.metric is not None:
            found[stage][key(model.sample)] = model.metric
    return found


def check_promotions(found: dict[int, dict[str, float]], rungs: list[list[int]] = RUNGS) -> None:
    """As many in each rung as there are to be, and above the first the best of the one below."""
    assert [len(found[number]) for number in range(1, len(rungs) + 1)] == [trials for trials, _ in rungs]
    for number, (trials, _) in enumerate(rungs[1:], start=2):
        below = found[number - 1]
        assert set(found[number]) == set(sorted(below, key=lambda name: -below[name])[:trials])


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.slow
def test_a_search_climbs_its_rungs_with_weights_of_its_own(super_resolution: Make, tmp_path: Path) -> None:
    """Each trial has the figures that the trial of the nnictl path has after the same stages."""
    strategy, engine = HierarchicalRL(**SETTINGS), SequentialExecutionEngine()
    strategy(space(super_resolution(stages=str(tmp_path / "search"))), engine)
    models = list(engine.list_models())
    found = stages(models)
    check_promotions(found)

    settings = TrialSettings(batch=2, patch=24, measured_patches=4, limit=1, seed=3, device="cpu", **SIZES)
    for model in models:
        genotype, stage = Genotype.from_sample(model.sample), model.evaluator.stage
        assert stage == Stage(stage.number, RUNGS[stage.number - 1][1])
        expected, _ = evaluate(genotype, JointReward(), Training(settings, stage=stage, folder=tmp_path / "by hand"))
        assert model.metric == pytest.approx(expected.reward, rel=1e-9)
    for architecture in found[1]:
        number = max(number for number in found if architecture in found[number])
        path = checkpoint_path(tmp_path / "search", Genotype.from_string(architecture), number)
        left = torch.load(path, weights_only=True)
        assert left["steps"] == sum(steps for _, steps in RUNGS[:number])

    assert strategy.agent.policy.updates == 5
    assert sorted(json.loads(learnt)[1] for learnt in strategy.agent.learnt) == sorted(found[1].values())


@pytest.mark.slow
def test_an_experiment_ends_by_itself_and_hands_out_the_last_rung(super_resolution: Make, nni_home: Path) -> None:
    """With weights in a temporary folder, as trials run in this process."""
    from nni.nas.experiment import NasExperimentConfig

    strategy = HierarchicalRL(**{**SETTINGS, "rungs": [[3, 1], [2, 1], [1, 1]]})
    config = NasExperimentConfig("sequential", "simplified")
    experiment = MendedNasExperiment(HNASSpace(**SIZES), super_resolution(), strategy, config)
    experiment.run()
    found = stages(strategy.engine.list_models())
    check_promotions(found, [[3, 1], [2, 1], [1, 1]])
    (best,) = experiment.export_top_models(1, formatter="dict")
    assert {key(best)} == set(found[3])
    experiment.stop()


def test_what_came_further_is_listed_first_whatever_its_reward() -> None:
    strategy = HierarchicalRL(**SETTINGS)
    strategy(space(Staged()), SequentialExecutionEngine())
    listed = [(model.evaluator.stage.number, model.metric, key(model.sample)) for model in strategy.list_models()]
    assert [stage for stage, _, _ in listed] == [3, 2, 1, 1, 1]
    assert len({name for _, _, name in listed}) == 5
    assert [metric for _, metric, _ in listed[2:]] == sorted((metric for _, metric, _ in listed[2:]), reverse=True)
    assert [model.evaluator.stage.number for model in strategy.list_models(limit=2)] == [3, 2]
    assert len(list(strategy.list_models(sort=False))) == 8


@pytest.mark.parametrize("stopped_after", range(1, 8))
def test_a_search_goes_on_from_its_state(stopped_after: int) -> None:
    """The engine's budget is used up; another strategy and engine go on, and do nothing twice."""
    first, engine = HierarchicalRL(**SETTINGS), SequentialExecutionEngine(max_model_count=stopped_after)
    first(space(Staged()), engine)
    second, rest = HierarchicalRL(**SETTINGS), SequentialExecutionEngine()
    second.initialize(space(Staged()), rest)
    second.load_state_dict(through_a_file(first.state_dict()))
    second.run()
    models = [*engine.list_models(), *rest.list_models()]
    assert len(list(engine.list_models())) == stopped_after
    check_promotions(stages(models))
    assert second.agent.policy.updates == 5


@pytest.mark.parametrize("interrupted_at", [1, 2, 3])
def test_what_was_interrupted_is_tried_again(interrupted_at: int) -> None:
    """Ctrl-C in a trial, as a person does in a notebook."""

    def interrupt(stage: int, architecture: str) -> None:
        if stage == interrupted_at:
            raise KeyboardInterrupt

    evaluator = Staged()
    evaluator.does = interrupt
    first, engine = HierarchicalRL(**SETTINGS), SequentialExecutionEngine()
    with pytest.raises(KeyboardInterrupt):
        first(space(evaluator), engine)
    second, rest = HierarchicalRL(**SETTINGS), SequentialExecutionEngine()
    second.initialize(space(Staged()), rest)
    second.load_state_dict(through_a_file(first.state_dict()))
    second.run()
    done = [model for model in engine.list_models() if model.status != ModelStatus.Interrupted]
    (broken,) = [model for model in engine.list_models() if model.status == ModelStatus.Interrupted]
    again = next(iter(rest.list_models()))
    assert (key(again.sample), again.evaluator.stage) == (key(broken.sample), broken.evaluator.stage)
    check_promotions(stages([*done, *rest.list_models()]))


class Resumed(SequentialExecutionEngine):
    """What NNI does on a resume: it lists all trials of before, and runs again by itself what ran, which ends later."""

    def __init__(self, earlier: list[Any], ends: ModelStatus) -> None:
        super().__init__()
        self._history += earlier
        self._at_work = [model for model in earlier if model.status == ModelStatus.Training]
        self._ends = ends
        self._looks = 0

    def list_models(self, status: ModelStatus | None = None) -> Any:
        self._looks += 1
        if self._looks == 3:
            for model in self._at_work:
                model.status = self._ends
                if self._ends == ModelStatus.Trained:
                    model.metrics.final = model.evaluator.reward(key(model.sample))
        return super().list_models(status)


@pytest.mark.parametrize("saved", [True, False], ids=["state saved", "state of the beginning"])
@pytest.mark.parametrize("ends", [ModelStatus.Trained, ModelStatus.Failed])
@pytest.mark.parametrize("interrupted_at", [1, 2, 3])
def test_what_nni_runs_again_after_a_resume_is_not_done_twice(
    interrupted_at: int, ends: ModelStatus, saved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi_trial, "_POLL", 0.01)

    def interrupt(stage: int, architecture: str) -> None:
        if stage == interrupted_at and len(list(engine.list_models())) > 2:
            raise KeyboardInterrupt

    evaluator = Staged()
    evaluator.does = interrupt
    first, engine = HierarchicalRL(**SETTINGS), SequentialExecutionEngine()
    first.initialize(space(evaluator), engine)
    state = first.state_dict()
    with pytest.raises(KeyboardInterrupt):
        first.run()
    state = through_a_file(first.state_dict() if saved else state)
    (broken,) = [model for model in engine.list_models() if model.status == ModelStatus.Interrupted]
    broken.status = ModelStatus.Training

    second, rest = HierarchicalRL(**SETTINGS), Resumed(list(engine.list_models()), ends)
    second.initialize(space(Staged()), rest)
    second.load_state_dict(state)
    second.run()
    models = [model for model in rest.list_models() if model.status == ModelStatus.Trained]
    found = stages(models)  # none is there twice
    assert len(found[2]) == 2 and len(found[3]) == 1
    assert 5 <= len(found[1]) <= 7  # while one is at work, and what it is decides who goes on, new ones are tried
    assert set(found[3]) <= set(found[2]) <= set(found[1])
    assert second.agent.learnt.total() == len(found[1])
    assert sorted(json.loads(learnt)[1] for learnt in second.agent.learnt) == sorted(found[1].values())


def test_a_trial_that_fails_is_replaced_and_does_not_go_on() -> None:
    failed: list[tuple[int, str]] = []

    def fail_once(stage: int, architecture: str) -> None:
        if len(failed) < stage:
            failed.append((stage, architecture))
            raise RuntimeError("out of memory")

    evaluator = Staged()
    evaluator.does = fail_once
    strategy, engine = HierarchicalRL(**SETTINGS), SequentialExecutionEngine(continue_on_failure=True)
    strategy(space(evaluator), engine)
    done = [model for model in engine.list_models() if model.status == ModelStatus.Trained]
    found = stages(done)
    assert [stage for stage, _ in failed] == [1, 2, 3]
    assert len(found[2]) >= 2 and len(found[3]) == 1
    assert not any(architecture in found[stage] for stage, architecture in failed)


def test_the_best_plain_stack_has_a_place_in_every_rung_of_several_trials() -> None:
    budget: dict[str, Any] = {**SETTINGS, "budget": 3.0}
    proposed = HierarchicalRL(**budget)
    proposed.initialize(efficient(Staged()), SequentialExecutionEngine())
    stacks = [key(sample) for sample in proposed.agent.first_proposals]
    assert len(stacks) > 2
    rungs = [[len(stacks) + 4, 1], [3, 1], [2, 1], [1, 1]]
    strategy, engine = HierarchicalRL(**{**budget, "rungs": rungs}), SequentialExecutionEngine()
    strategy(efficient(Staged(worst=frozenset(stacks))), engine)
    models = list(engine.list_models())
    assert [key(model.sample) for model in models[: len(stacks)]] == stacks
    assert all(cost_table(2)(Genotype.from_sample(model.sample)).gmacs <= 3.0 for model in models)
    found = stages(models)
    best = max(stacks, key=lambda name: found[1][name])
    assert [set(found[number]) & set(stacks) for number in (2, 3, 4)] == [{best}, {best}, set()]

    evenly = HierarchicalRL(**{**budget, "start_with_stacks": False})
    evenly.initialize(efficient(Staged()), SequentialExecutionEngine())
    assert evenly.agent.first_proposals == []


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ([[5, 3], [2, 4]], "state: was saved with rungs [[5, 3], [2, 4], [1, 6]], not [[5, 3], [2, 4]]"),
        (None, "state: was saved with rungs; give the same again"),
    ],
    ids=str,
)
def test_going_on_with_other_rungs_is_refused_in_a_line(rungs: list[list[int]] | None, message: str) -> None:
    first = HierarchicalRL(**SETTINGS)
    first(space(Staged()), SequentialExecutionEngine(max_model_count=2))
    second = HierarchicalRL(**{**SETTINGS, "rungs": rungs})
    second.load_state_dict(through_a_file(first.state_dict()))
    with pytest.raises(ValueError) as caught:
        second.initialize(space(Staged()), SequentialExecutionEngine())
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_search_whose_weights_were_temporary_can_not_go_on(super_resolution: Make) -> None:
    first = HierarchicalRL(**SETTINGS)
    first(space(Staged()), SequentialExecutionEngine(max_model_count=2))
    second = HierarchicalRL(**SETTINGS)
    second.initialize(space(super_resolution()), SequentialExecutionEngine())
    with pytest.raises(ValueError, match=r"^rungs: the weights to go on from were in a temporary folder.*stages=DIR$"):
        second.load_state_dict(first.state_dict())


def test_an_evaluator_without_stages_is_refused_before_anything_starts(tmp_path: Path) -> None:
    message = (
        r"^rungs: FunctionalEvaluator can't go on from a trial's weights; give .*SuperResolution, or leave rungs out$"
    )
    engine = SequentialExecutionEngine()
    with pytest.raises(ValueError, match=message):
        HierarchicalRL(**SETTINGS)(space(FunctionalEvaluator(print)), engine)
    assert not list(engine.list_models())
    experiment = MendedNasExperiment(HNASSpace(**SIZES), FunctionalEvaluator(print), HierarchicalRL(**SETTINGS))
    experiment.config.experiment_working_directory = tmp_path
    with pytest.raises(ValueError, match=message):
        experiment.run(1)
    assert experiment._proc is None


@pytest.mark.parametrize("rungs", [[], [[1, 2], [2, 1]], [[3]], "48"])
def test_rungs_of_another_form_are_refused(rungs: Any) -> None:
    with pytest.raises(ValueError, match=r"^rungs: "):
        HierarchicalRL(rungs=rungs)


_EXPERIMENT = (
    MENDED_START
    + """
# Trials are processes: argv is folder, port, create or resume.
import json, sys
from pathlib import Path
from hnas_nni.trial.evaluator import SuperResolution
from nni.nas.experiment import NasExperiment
from search_spaces import HNASSpace
from strategies import HierarchicalRL

if __name__ == "__main__":
    folder, port, action = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    strategy = HierarchicalRL(seed=0, hidden_size=6, rungs=[[3, 2], [1, 3]])
    evaluator = SuperResolution(patch_size=24, batch=2, measured_patches=4, limit=1, seed=3, accelerator="cpu")
    space = HNASSpace(scale=2, channels=2, layers=3)
    experiment = NasExperiment(space, evaluator, strategy, id="nas_rungs")
    experiment.config.trial_concurrency = 1
    experiment.config.experiment_working_directory = str(folder / "experiments")
    getattr(experiment, "run" if action == "create" else "resume")(port)
    models = [[model.evaluator.stage.number, model.metric, model.sample] for model in strategy.list_models()]
    learnt = [json.loads(key)[1] for key in strategy.agent.learnt.elements()]
    (folder / "result.json").write_text(json.dumps({"models": models, "learnt": learnt}))
    experiment.stop()
"""
)


@pytest.mark.nni
@pytest.mark.slow
def test_a_killed_experiment_climbs_on_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real experiment; all of it is killed without warning before the last rung."""
    (tmp_path / "nas_rungs.py").write_text(_EXPERIMENT)
    folder = tmp_path / "experiments" / "nas_rungs"
    process = start_nas(tmp_path, "nas_rungs.py", "create")
    try:
        while len(list(folder.glob("environments/*/trials/*/final_result.json"))) < 3:
            assert process.poll() is None, (tmp_path / "create.log").read_text()
            time.sleep(0.2)
        time.sleep(3)  # so that NNI has stored what was reported
    finally:
        kill_nas(process)
    result = finish_nas(start_nas(tmp_path, "nas_rungs.py", "resume"), tmp_path, "resume")

    measured = read_experiment(folder).finished
    found: dict[int, dict[Genotype, float]] = {1: {}, 2: {}}
    for entry in measured:
        assert entry.stage is not None and entry.genotype not in found[entry.stage]
        found[entry.stage][entry.genotype] = entry.reward
        assert entry.steps == {1: 2, 2: 5}[entry.stage]
    assert (len(found[1]), len(found[2])) == (3, 1)
    (winner,) = found[2]
    # NNI asks for the next trial while one that it runs again is still running: the best of two or three went on.
    assert found[1][winner] >= sorted(found[1].values())[1]
    assert torch.load(checkpoint_path(folder, winner, 2), weights_only=True)["steps"] == 5
    assert sorted(result["learnt"]) == sorted(found[1].values())
    assert [stage for stage, _, _ in result["models"]] == [2, 1, 1]
    assert Genotype.from_sample(result["models"][0][2]) == winner

    # The command line ranks the last rung first, and hands out what was trained.
    assert main(["best", str(folder), "--weights", str(tmp_path / "winner.safetensors"), "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert [entry["stage"] for entry in best] == [2, 1, 1]
    network = load(tmp_path / "winner.safetensors")
    assert network.genotype == winner
    splits = load_splits("embedded:photos", 2, patch_size=24, seed=3, limit=1)
    low, high = fixed_patches(splits.validation, 2, 24, 4, 3)
    assert patch_psnr(network, low, high, 2) == pytest.approx(best[0]["psnr"], abs=1e-6)
