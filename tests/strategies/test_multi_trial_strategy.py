"""The hierarchical strategy in NNI's own engines: searching, failures, state, and a search that was killed."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any
from zlib import crc32

import nni
import numpy as np
import pytest
import torch
from architecture_table import TableEvaluator, default_subspace, table_space
from nas_process import MENDED_START, finish_nas, kill_nas, start_nas
from nni.mutable import Categorical, Numerical, label_scope
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.execution.event import TrainingEndEvent
from nni.nas.hub.pytorch import NasBench201
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableDropout
from nni.nas.space import ModelStatus, RawFormatModelSpace, SimplifiedModelSpace
from nni_experiment import free_port
from searchers import CategoricalSpace
from torch import nn

from hnas_nni import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.network.network import HNASNetwork
from search_spaces import HNASSpace, MendedNasExperiment
from strategies import HierarchicalOneShot, HierarchicalRL, LayoutError
from strategies.agent import result_key

LAYERS = 3
SUBSPACE = default_subspace(layers=LAYERS)


def table_rewards() -> np.ndarray:
    """Rewards that are a sum over the decisions, so that the best architecture is known."""
    rewards = np.zeros(SUBSPACE.shape)
    for axis, size in enumerate(SUBSPACE.shape):
        rewards += np.arange(size).reshape([-1 if other == axis else 1 for other in range(rewards.ndim)])
    return rewards.ravel()


def search(strategy: HierarchicalRL, trials: int) -> list[dict[str, Any]]:
    engine = SequentialExecutionEngine(max_model_count=trials)
    strategy(table_space(SUBSPACE, table_rewards()), engine)
    return [model.sample for model in engine.list_models()]


def report_cost(network: HNASNetwork) -> None:
    nni.report_final_result(-cost_table(2, 2, LAYERS, (10, 10))(network.genotype).macs)


def test_the_whole_space_is_searched_with_no_settings() -> None:
    strategy = HierarchicalRL()
    engine = SequentialExecutionEngine(max_model_count=6)
    space = HNASSpace(scale=2, channels=2, layers=LAYERS)
    strategy(SimplifiedModelSpace.from_model(space, FunctionalEvaluator(report_cost)), engine)
    models = list(strategy.list_models())
    assert len(models) == 6
    assert [model.metric for model in models] == sorted((model.metric for model in models), reverse=True)
    for model in models:
        genotype = Genotype.from_sample(model.sample)
        assert model.metric == -cost_table(2, 2, LAYERS, (10, 10))(genotype).macs


@pytest.mark.slow
def test_what_is_good_is_found_early() -> None:
    """The best of 1,920 architectures within 40; random search needs 960 on average."""
    samples = search(HierarchicalRL(seed=1), 40)
    rewards = table_rewards()
    assert max(rewards[SUBSPACE.index(sample)] for sample in samples) == rewards.max()


def test_a_space_of_the_hub_is_searched() -> None:
    """NAS-Bench-201's cell; the more convolutions, the better."""

    def report_parameters(network: torch.nn.Module) -> None:
        nni.report_final_result(float(sum(parameter.numel() for parameter in network.parameters())))

    strategy = HierarchicalRL(hidden_size=16)
    engine = SequentialExecutionEngine(max_model_count=12)
    space = NasBench201(stem_out_channels=4, num_modules_per_stack=1)
    strategy(SimplifiedModelSpace.from_model(space, FunctionalEvaluator(report_parameters)), engine)
    models = list(strategy.list_models(limit=3))
    assert len(models) == 3
    assert models[0].metric == max(model.metric for model in engine.list_models())
    assert sum(parameter.numel() for parameter in models[0].executable_model().parameters()) == models[0].metric


class Failing(TableEvaluator):
    """Fails for some architectures, and reports what is no number for others."""

    def _execute(self, model: Any) -> float:
        if model.sample["upsample_position"] == 1:
            raise RuntimeError("out of memory")
        if model.sample["upsample_position"] == 2:
            nni.report_final_result("diverged")
            return 0.0
        return super()._execute(model)


@pytest.mark.parametrize("reward_for_failure", [None, -5.0])
def test_failures_do_not_stop_a_search(reward_for_failure: float | None) -> None:
    strategy = HierarchicalRL(seed=0, reward_for_failure=reward_for_failure, give_up_after=20)
    engine = SequentialExecutionEngine(max_model_count=30, continue_on_failure=True)
    space = table_space(SUBSPACE, table_rewards())
    space.evaluator = Failing(SUBSPACE, table_rewards())
    strategy(space, engine)
    models = list(engine.list_models())
    failed = [model for model in models if model.status == ModelStatus.Failed or model.metric is None]
    assert len(models) == 30
    assert failed
    assert strategy.agent.learnt.total() == (30 if reward_for_failure else 30 - len(failed))
    assert len(list(strategy.list_models())) == 30 - len(failed)


class TellsOthersEnds(SequentialExecutionEngine):
    """Runs two trials together and tells the end of each by the other, as NNI's manager does now and then."""

    def __init__(self, max_model_count: int) -> None:
        super().__init__(max_model_count)
        self.pair: list[Any] = []

    def submit_models(self, *models: Any) -> None:
        self._model_count += len(models)
        self._history += models
        self.pair += models
        if len(self.pair) == 2:
            for model in self.pair:
                self._run_single_model(model)
            self.pair.clear()

    def wait_models(self, *models: Any) -> None:
        """All have ended, but the last one of each pair has not been told so."""

    def dispatch_model_event(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, TrainingEndEvent):
            (other,) = (model for model in self.pair if model is not event.model)
            event = TrainingEndEvent(other, event.status)
        super().dispatch_model_event(event, **kwargs)


def test_no_result_is_lost_when_nni_mistakes_one_trial_for_another() -> None:
    rewards = table_rewards()
    strategy, engine = HierarchicalRL(seed=0), TellsOthersEnds(30)
    strategy(table_space(SUBSPACE, rewards), engine)
    evaluated = [model.sample for model in engine.list_models()]
    assert len(evaluated) == 30
    expected = Counter(result_key(sample, float(rewards[SUBSPACE.index(sample)])) for sample in evaluated)
    assert strategy.agent.learnt == expected


def test_a_result_that_stands_beside_two_trials_is_learnt_once_on_a_resume() -> None:
    """NNI gave a trial the parameters of another, was killed, and ran both again."""
    rewards = table_rewards()
    first, engine = HierarchicalRL(seed=0), SequentialExecutionEngine(4)
    first.initialize(table_space(SUBSPACE, rewards), engine)
    beginning = first.state_dict()
    first.run()
    earlier = list(engine.list_models())
    second, rest = HierarchicalRL(seed=0), SequentialExecutionEngine(2)
    rest._history += [*earlier, earlier[1]]
    second.initialize(table_space(SUBSPACE, rewards), rest)
    second.load_state_dict(beginning)
    second.run()
    evaluated = {id(model): model.sample for model in rest.list_models()}.values()
    assert len(evaluated) == 6
    expected = Counter(result_key(sample, float(rewards[SUBSPACE.index(sample)])) for sample in evaluated)
    assert second.agent.learnt == expected


def test_a_space_without_another_architecture_ends_the_search() -> None:
    class Length(TableEvaluator):
        def _execute(self, model: Any) -> float:
            nni.report_final_result(len(str(model.sample)))
            return 0.0

    with label_scope("cell"):
        choices = {"cell/a": Categorical([1, 20, 300], label="a"), "cell/b": Categorical(["x", "yy"], label="b")}
    engine = SequentialExecutionEngine()
    strategy = HierarchicalRL()
    strategy(RawFormatModelSpace(CategoricalSpace(choices), Length(SUBSPACE, table_rewards())), engine)
    samples = [json.dumps(model.sample, sort_keys=True) for model in strategy.list_models()]
    assert len(samples) == len(set(samples)) == 6


def test_continuous_choices_are_refused_before_the_first_trial() -> None:
    space = RawFormatModelSpace(CategoricalSpace({"rate": Numerical(0.0, 1.0, label="rate")}), None)
    engine = SequentialExecutionEngine(max_model_count=3)
    with pytest.raises(ValueError, match=r"^rate: Numerical is not categorical"):
        HierarchicalRL()(space, engine)
    assert not list(engine.list_models())


class _WithDropout(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice([nn.Identity(), nn.Tanh()], label="layer")
        self.dropout = MutableDropout(nni.uniform("droprate", 0.0, 0.5))


@pytest.mark.parametrize("strategy", [HierarchicalRL, HierarchicalOneShot])
def test_continuous_choices_are_refused_before_the_experiment_starts(strategy: type[Any], tmp_path: Path) -> None:
    """Neither NNI's manager nor its web server is started, and the experiment can be stopped as it is."""
    evaluator = Lightning(LightningModule(), Trainer(max_epochs=1, logger=False, enable_checkpointing=False))
    experiment = MendedNasExperiment(_WithDropout(), evaluator, strategy())
    experiment.config.experiment_working_directory = tmp_path
    with pytest.raises(LayoutError, match=r"^droprate: Numerical is not categorical"):
        experiment.run(free_port())
    assert experiment._proc is None
    assert HierarchicalRL().state_dict() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"give_up_after": 0}, "give_up_after: 0 is not valid"),
        ({"lr": 0.1}, "lr: is unknown; the settings of the learning are baseline_decay"),
        ({"reward_for_failure": float("nan")}, "reward_for_failure: nan is not valid"),
        ({"conditioned": "false"}, "conditioned: 'false' is not valid; give true or false"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        HierarchicalRL(**arguments)


_EXPERIMENT = (
    MENDED_START
    + '''
"""A NAS experiment whose trials are processes: argv is folder, port, create or resume, number of trials."""
import json, sys
from pathlib import Path
from nas_trial import evaluate
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment
from search_spaces import HNASSpace, MendedNasExperiment
from strategies import HierarchicalOneShot, HierarchicalRL, LayoutError
from strategies.agent import result_key

if __name__ == "__main__":
    folder, port, action, trials = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    strategy = HierarchicalRL(seed=0, hidden_size=16)
    space = HNASSpace(scale=2, channels=1, layers=3)
    experiment = NasExperiment(space, FunctionalEvaluator(evaluate), strategy, id="nas_test")
    experiment.config.max_trial_number = trials
    experiment.config.trial_concurrency = 2
    experiment.config.experiment_working_directory = str(folder / "experiments")
    getattr(experiment, "run" if action == "create" else "resume")(port)
    models = [[model.metric, model.sample] for model in strategy.list_models()]
    learnt = [json.loads(key) for key in strategy.agent.learnt.elements()]
    (folder / "result.json").write_text(json.dumps({"models": models, "learnt": learnt}))
    experiment.stop()
'''
)
_TRIAL = """
import nni
from pathlib import Path
from zlib import crc32
def evaluate(network):
    if Path(__file__).with_name("fails").exists() and network.genotype.position == 3:
        raise MemoryError("as some networks do")
    with open(Path(__file__).with_name("finished"), "a") as file:
        file.write("x")
    nni.report_final_result({"default": float(crc32(network.genotype.to_json().encode()))})
"""


def _start(folder: Path, action: str, trials: int) -> subprocess.Popen[bytes]:
    (folder / "nas_experiment.py").write_text(_EXPERIMENT)
    (folder / "nas_trial.py").write_text(_TRIAL)
    # The trials need no Lightning, which takes longer to load than all else.
    return start_nas(folder, "nas_experiment.py", action, trials, environment={"NNI_FRAMEWORK": "none"})


def _check_pairs(result: dict[str, Any]) -> None:
    """Each architecture has its own reward, the checksum of its text, in what was learnt and in what NNI lists."""
    pairs = [*result["models"], *((reward, dict(sample)) for sample, reward in result["learnt"])]
    assert all(reward == crc32(Genotype.from_sample(sample).to_json().encode()) for reward, sample in pairs)
    metrics = [metric for metric, _ in result["models"]]
    assert metrics == sorted(metrics, reverse=True)


@pytest.mark.nni
def test_each_architecture_has_its_own_result_with_trials_side_by_side(tmp_path: Path) -> None:
    """With two at a time NNI's manager often notes each trial with the other's parameters; some trials fail, too."""
    (tmp_path / "fails").touch()
    result = finish_nas(_start(tmp_path, "create", 4), tmp_path, "create")
    _check_pairs(result)
    positions = [sample["upsample_position"] for _, sample in result["models"]]
    assert 3 not in positions
    assert len(positions) == len(result["learnt"]) == len((tmp_path / "finished").read_text()) < 4


@pytest.mark.nni
def test_a_killed_experiment_goes_on(tmp_path: Path) -> None:
    """A real experiment with two trials at a time; everything is killed without warning after the first result."""
    process = _start(tmp_path, "create", 3)
    try:
        finished = tmp_path / "finished"
        while not finished.exists() or not finished.read_text():
            assert process.poll() is None, (tmp_path / "create.log").read_text()
            time.sleep(0.2)
        time.sleep(3)  # so that NNI has stored what was reported
    finally:
        kill_nas(process)
    before = len(finished.read_text())

    result = finish_nas(_start(tmp_path, "resume", 3), tmp_path, "resume")
    _check_pairs(result)
    samples = [json.dumps(sample, sort_keys=True) for _, sample in result["models"]]
    assert len(samples) == len(set(samples)) >= before
    # What was finished before the kill was learnt, as well as what came after.
    assert sorted(reward for _, reward in result["learnt"]) == sorted(metric for metric, _ in result["models"])
