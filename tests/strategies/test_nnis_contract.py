"""What NNI demands of a strategy and of a tuner: each of ours does it, and so do NNI's own, by which this is tested."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nni
import pytest
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner as NniTpeTuner
from nni.mutable import Categorical, label_scope
from nni.nas import strategy as nni_strategies
from nni.nas.evaluator import Evaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import ModelStatus, RawFormatModelSpace
from nni.nas.strategy import Strategy
from nni.runtime.msg_dispatcher import MsgDispatcher
from nni.runtime.tuner_command_channel import CommandType
from nni.tuner import Tuner
from nni.utils import MetricType
from searchers import CategoricalSpace
from small_spaces import choice

from search_spaces.compat.tpe_tuner import TpeTuner
from strategies import HierarchicalRL, HierarchicalTuner
from strategies.tuner_files import HISTORY_FILE

OPERATIONS, DEPTHS = ("conv", "pool", "skip"), (1, 2, 3, 4)
ALL = [{"cell/op": operation, "depth": depth} for operation, depth in itertools.product(OPERATIONS, DEPTHS)]

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "HierarchicalRL": lambda: HierarchicalRL(hidden_size=6, seed=1),
    "NNI's Random": lambda: nni_strategies.Random(seed=1),
    "NNI's RegularizedEvolution": lambda: nni_strategies.RegularizedEvolution(population_size=2, sample_size=2, seed=1),
}
TUNERS: dict[str, Callable[[], Tuner]] = {
    "HierarchicalTuner": lambda: HierarchicalTuner(hidden_size=6, seed=1),
    "HierarchicalTuner with rungs": lambda: HierarchicalTuner(hidden_size=6, seed=1, rungs=[[9, 1], [2, 1]]),
    "the mended TpeTuner": lambda: TpeTuner(optimize_mode="maximize", seed=1),
    "NNI's TpeTuner": lambda: NniTpeTuner(optimize_mode="maximize", seed=1),
    "NNI's RandomTuner": lambda: RandomTuner(seed=1),
}
each_strategy = pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES)
each_tuner = pytest.mark.parametrize("make", TUNERS.values(), ids=TUNERS)


@pytest.fixture(autouse=True)
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))


def worth(sample: dict[str, Any]) -> float:
    return 10.0 * OPERATIONS.index(sample["cell/op"]) + sample["depth"]


class Reports(Evaluator):
    """Reports on the way and at the end; fails for one operation."""

    def _execute(self, model: Any) -> None:
        nni.report_intermediate_result(worth(model.sample) / 2)
        if model.sample["cell/op"] == "pool":
            raise RuntimeError("out of memory")
        nni.report_final_result(worth(model.sample))


def model_space() -> RawFormatModelSpace:
    with label_scope("cell"):
        operation = Categorical(OPERATIONS, label="op")
    space = CategoricalSpace({"cell/op": operation, "depth": Categorical(DEPTHS, label="depth")})
    return RawFormatModelSpace(space, Reports())


def engine_of(trials: int) -> SequentialExecutionEngine:
    return SequentialExecutionEngine(max_model_count=trials, continue_on_failure=True)


@each_strategy
def test_a_strategy_submits_models_within_the_budget_and_lists_them(make: Callable[[], Strategy]) -> None:
    strategy, engine, space = make(), engine_of(8), model_space()
    assert type(strategy).__name__ in repr(strategy)
    strategy(space, engine)
    models = list(engine.list_models())
    assert len(models) == 8
    assert all(model.sample in ALL and space.contains(model.sample) for model in models)
    assert list(strategy.list_models(sort=False)) == models
    trained = [model for model in models if model.status == ModelStatus.Trained]
    best_first = list(strategy.list_models())
    assert [model.metric for model in best_first] == sorted((worth(model.sample) for model in trained), reverse=True)
    assert list(strategy.list_models(limit=2)) == best_first[:2]


@each_strategy
def test_a_strategy_runs_once_and_leaves_the_engine_as_it_was(make: Callable[[], Strategy]) -> None:
    strategy, engine = make(), engine_of(3)
    with pytest.raises(RuntimeError):
        list(strategy.list_models())
    with pytest.raises(RuntimeError):
        strategy.run()
    strategy = make()
    strategy.initialize(model_space(), engine)
    with pytest.raises(RuntimeError):
        strategy.initialize(model_space(), engine)
    strategy.run()
    assert not any(engine._callbacks.values())
    with pytest.raises(RuntimeError):
        strategy.run()


@each_strategy
@pytest.mark.parametrize("early", [True, False], ids=["loaded before initialize", "loaded after it"])
def test_a_strategy_goes_on_from_its_state(make: Callable[[], Strategy], early: bool) -> None:
    first, engine = make(), engine_of(5)
    first(model_space(), engine)
    state = first.state_dict()
    resumed, more = make(), engine_of(4)
    if early:
        resumed.load_state_dict(state)
    space = model_space()
    resumed.initialize(space, more)
    if not early:
        resumed.load_state_dict(state)
    resumed.run()
    before, after = ([json.dumps(model.sample) for model in e.list_models()] for e in (engine, more))
    assert len(after) == 4
    assert set(before).isdisjoint(after)
    assert len(set(before) | set(after)) == 9


def test_a_state_that_was_given_early_is_not_lost_before_it_is_used() -> None:
    first = STRATEGIES["HierarchicalRL"]()
    first(model_space(), engine_of(3))
    resumed = STRATEGIES["HierarchicalRL"]()
    resumed.load_state_dict(first.state_dict())
    assert resumed.state_dict().keys() == first.state_dict().keys()
    other = HierarchicalRL(hidden_size=7)
    other.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="its controller has hidden_size=6, but this one has 7"):
        other.initialize(model_space(), engine_of(1))


def ready(make: Callable[[], Tuner]) -> Tuner:
    tuner = make()
    tuner.update_search_space({"cell/op": choice(*OPERATIONS), "depth": choice(*DEPTHS)})
    return tuner


def architecture(parameters: dict[str, Any]) -> dict[str, Any]:
    return {label: parameters[label] for label in ("cell/op", "depth")}


@each_tuner
def test_a_tuner_proposes_what_is_in_the_space_and_takes_results_in_any_order(make: Callable[[], Tuner]) -> None:
    tuner = ready(make)
    assert isinstance(tuner, Tuner)
    given: dict[int, dict[str, Any]] = {}
    for first in (0, 3, 6):
        numbers = [first, first + 1, first + 2]
        samples = tuner.generate_multiple_parameters(numbers, st_callback=lambda *_: None)
        assert len(samples) == 3
        given |= zip(numbers, samples, strict=True)
        for number in reversed(numbers):
            assert nni.load(nni.dump(given[number])) == given[number]
            value = worth(given[number])
            result = value if number % 2 else {"default": value, "another": 1}
            if number != 4:
                more = {"customized": False, "trial_job_id": f"trial{number}"}
                tuner.receive_trial_result(number, given[number], result, **more)
            tuner.trial_end(number, number != 4, trial_job_id=f"trial{number}")
    assert all(architecture(sample) in ALL for sample in given.values())
    assert len({json.dumps(architecture(sample)) for sample in given.values()}) == 9
    for method in (tuner.load_checkpoint, tuner.save_checkpoint, tuner._on_exit, tuner._on_error):
        method()


@each_tuner
def test_a_tuner_takes_finished_trials_before_in_the_middle_and_twice(make: Callable[[], Tuner]) -> None:
    if make is TUNERS["NNI's RandomTuner"]:
        pytest.skip("it learns nothing")
    tuner = ready(make)
    records = [
        {"parameter": {"cell/op": "conv", "depth": 1}, "value": 1.5},
        {"parameter": {"cell/op": "skip", "depth": 4}, "value": {"default": 2, "another": 3}},
        {"parameter": {"cell/op": "conv", "depth": 1}, "value": 1.5},
    ]
    tuner.import_data(records)
    samples = tuner.generate_multiple_parameters([0, 1])
    tuner.import_data(records[:1])
    samples += tuner.generate_multiple_parameters([2])
    assert len(samples) == 3
    for number, sample in enumerate(samples):
        tuner.receive_trial_result(number, sample, worth(sample))
        tuner.trial_end(number, True)
    tuner.update_search_space({"cell/op": choice(*OPERATIONS), "depth": choice(*DEPTHS)})
    assert len(tuner.generate_multiple_parameters([3])) == 1


@each_tuner
def test_a_tuner_works_behind_nnis_dispatcher(make: Callable[[], Tuner]) -> None:
    """Its commands are those that NNI's manager sends, as JSON."""
    sent: list[tuple[CommandType, Any]] = []

    class Dispatcher(MsgDispatcher):
        def send(self, command: CommandType, data: Any) -> None:
            sent.append((command, data))

    dispatcher = Dispatcher("ws://_unittest_contract_", make())
    dispatcher.handle_initialize({"cell/op": choice(*OPERATIONS), "depth": choice(*DEPTHS)})
    assert [command for command, _ in sent] == [CommandType.Initialized]
    tried = []
    for trial in range(4):
        del sent[:]
        dispatcher.handle_request_trial_jobs(1)
        ((command, text),) = sent
        assert command is CommandType.NewTrialJob
        told = json.loads(text)
        assert architecture(told["parameters"]) in ALL
        tried.append(architecture(told["parameters"]))
        report = {"parameter_id": told["parameter_id"], "trial_job_id": f"trial{trial}", "sequence": 0}
        value = nni.dump({"default": worth(told["parameters"])} if trial % 2 else worth(told["parameters"]))
        dispatcher.handle_report_metric_data(report | {"type": MetricType.PERIODICAL, "value": value})
        dispatcher.handle_report_metric_data(report | {"type": MetricType.FINAL, "value": value})
        event = "SUCCEEDED" if trial != 2 else "FAILED"
        dispatcher.handle_trial_end({"trial_job_id": f"trial{trial}", "event": event, "hyper_params": text})
    assert len({json.dumps(sample) for sample in tried}) == 4
    if make is not TUNERS["NNI's RandomTuner"]:
        dispatcher.handle_import_data([{"parameter": ALL[0], "value": "3.5"}, {"parameter": ALL[1], "value": 4}])
    del sent[:]
    dispatcher.handle_request_trial_jobs(2)
    assert [command for command, _ in sent] == [CommandType.NewTrialJob] * 2


@pytest.mark.parametrize("name", [name for name in TUNERS if "Hierarchical" in name])
def test_a_dispatcher_is_told_when_no_trial_is_left(name: str) -> None:
    """The results of the last ones are learnt, though NNI then takes an empty text for the first one's parameters."""
    sent: list[tuple[CommandType, Any]] = []

    class Dispatcher(MsgDispatcher):
        def send(self, command: CommandType, data: Any) -> None:
            sent.append((command, data))

    tuner = TUNERS[name]()
    dispatcher = Dispatcher("ws://_unittest_contract_", tuner)
    dispatcher.handle_initialize({"cell/op": choice("conv", "pool"), "depth": choice(1)})
    del sent[:]
    dispatcher.handle_request_trial_jobs(3)
    assert [command for command, _ in sent] == [*[CommandType.NewTrialJob] * 2, CommandType.NoMoreTrialJobs]
    for _, text in sent[:2]:
        told = json.loads(text)
        report = {"parameter_id": told["parameter_id"], "trial_job_id": "trial", "type": MetricType.FINAL}
        dispatcher.handle_report_metric_data(report | {"value": nni.dump({"default": worth(told["parameters"])})})
    history = Path(os.environ["NNI_CHECKPOINT_DIRECTORY"]) / HISTORY_FILE
    rewards = [json.loads(line)["reward"] for line in history.read_text().splitlines()]
    assert rewards == [worth(json.loads(text)["parameters"]) for _, text in sent[:2]]
