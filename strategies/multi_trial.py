"""The hierarchical controller as a multi-trial strategy of NNI."""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from nni.mutable import SampleValidationError
from nni.nas.evaluator import FrozenEvaluator
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy

from hnas_nni.settings import Setting
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.parameters import Stage
from search_spaces.compat.engine import mend_engine
from strategies.agent import SearchAgent, result_key
from strategies.climbing import architecture_key, climb, keep_first_proposals, restore, under_way
from strategies.levels import SpaceChoices
from strategies.settings import (
    GIVE_UP_AFTER,
    RUNGS,
    SMALL_BUDGET,
    START_WITH_STACKS,
    BudgetSettings,
    ControllerSettings,
    learning_settings,
)
from strategies.successive_halving import SuccessiveHalving, read_rungs

_logger = logging.getLogger("nni.hnas")

_INVALID_PATIENCE = 1000
"""Proposals in a row that the space may refuse, as its constraints do, before the search ends."""

_POLL = 1.0
"""Seconds between looks at the budget, which NNI announces by no event."""

_LAST_POLLS = 60

_REWARD_FOR_FAILURE = Setting(float, "to learn from a trial that fails", give="a finite number")


class _Proposal(NamedTuple):
    """What is tried: an architecture, label -> value, and how far it goes in a search by successive halving."""

    sample: dict[str, Any]
    stage: Stage | None = None

    @property
    def is_first(self) -> bool:
        """Whether its reward compares with those that the policy learns from."""
        return self.stage is None or self.stage.number == 1

    @property
    def place(self) -> tuple[int, str]:
        """Stage and architecture, as successive halving knows them."""
        return 1 if self.stage is None else self.stage.number, architecture_key(self.sample)


class _WithoutResult(NamedTuple):
    """A trial that ended, as NNI says, and that no result has come from."""

    model: ExecutableModelSpace
    proposal: _Proposal
    failed: bool


class HierarchicalRL(Strategy):
    """Hierarchical reinforcement-learning search (HNAS, section II-D) of any space of categorical choices.

    The cells are decided first and the network level then, given them. Each result is one step of policy gradient
    under the policy of that moment; as many trials run at a time as the experiment allows. Works on
    :class:`search_spaces.HNASSpace`, on the spaces of :mod:`nni.nas.hub` and on your own; the levels are read off the
    labels or given. The defaults are those of :data:`SMALL_BUDGET`, made for some hundred trials.

    A trial that fails teaches nothing, unless `reward_for_failure` says what it is worth. An architecture is not
    proposed twice while there are others; when there are none the search ends.

    After ``experiment.stop()``, Ctrl-C or a kill ``NasExperiment(space, evaluator, HierarchicalRL(...),
    id=...).resume()`` goes on. What was being evaluated is evaluated again; results that NNI has and the saved state
    lacks are learnt.

    With `rungs` most trials are short, and the best go on from their own weights and Adam's moments. The evaluator is
    then :class:`hnas_nni.trial.evaluator.SuperResolution`, whose ``epochs * steps_per_epoch`` the rungs replace, or
    another one with its ``at_stage``, ``stage`` and ``stages``. Models of the last rung that was reached are listed
    first, whatever their reward. Where trials run in this process (NNI's SequentialExecutionEngine) weights lie in the
    evaluator's `stages`, without it in a temporary folder until the search ends; only with it such a search can be
    resumed.

    Parameters
    ----------
    levels
        Which choices form which cell, and which are decided last; see :class:`SpaceChoices`. None: by the labels.
    seed
        Of the controller's weights and of the sampling. With one trial at a time a search repeats exactly, as far as
        the trials do.
    conditioned
        False makes the network level independent of the cells, the paper's ablation.
    hidden_size
        Of the LSTMs.
    reward_for_failure
        Reward to learn from a trial that fails or reports no number, or an architecture that the space refuses. None
        to learn nothing from it.
    give_up_after
        Stop with an error when so many trials failed and none succeeded.
    budget, budget_params, budget_ms, latency
        The most multiply-adds, in 10^9 at a 3x480x480 input, the most parameters, and the most milliseconds by a table
        of ``hnas latency``, of an architecture of :class:`search_spaces.HNASSpace`: nothing above is proposed. The
        reward is the evaluator's.
    rungs
        Successive halving: ``[[48, 400], [8, 2000], [2, 8000]]`` is 48 trials of 400 training steps; the best 8 of them
        go on for another 2,000, and the best 2 of these for another 8,000. Then the search ends. The policy learns from
        the first rung alone, whose rewards are comparable. None: every trial is a new architecture.
    start_with_stacks
        Under a budget in the efficient space, try the plain stacks of collapsible convolutions that fill it first, and
        let the best of them have a place in every rung of more than one trial.
    **learning
        As for :class:`PolicySettings`.

    Raises
    ------
    ValueError
        If an argument is unknown or out of range. :meth:`initialize`, which an experiment calls before its first
        trial, raises it for a space with a choice that is not categorical, by its label, and for `rungs` with an
        evaluator that can't go on from weights; :class:`search_spaces.MendedNasExperiment` does so before it starts
        anything.

    Examples
    --------
    >>> from nni.nas.evaluator import FunctionalEvaluator
    >>> from nni.nas.experiment import NasExperiment
    >>> from search_spaces import HNASSpace
    >>> def evaluate(network): ...
    >>> experiment = NasExperiment(HNASSpace(), FunctionalEvaluator(evaluate), HierarchicalRL(seed=0))
    >>> experiment.run(port=8080)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        levels: Mapping[str, Any] | None = None,
        seed: int = 0,
        conditioned: bool = True,
        hidden_size: int = 100,
        reward_for_failure: float | None = None,
        give_up_after: int = 4,
        budget: float | None = None,
        budget_params: float | None = None,
        budget_ms: float | None = None,
        latency: str | None = None,
        rungs: Sequence[Sequence[int]] | None = None,
        start_with_stacks: bool = True,
        **learning: Any,
    ) -> None:
        super().__init__()
        self.controller = ControllerSettings(seed, conditioned, hidden_size, levels)
        self.learning = learning_settings(learning, SMALL_BUDGET)
        if reward_for_failure is not None:
            _REWARD_FOR_FAILURE.check("reward_for_failure", reward_for_failure)
        GIVE_UP_AFTER.check("give_up_after", give_up_after)
        START_WITH_STACKS.check("start_with_stacks", start_with_stacks)
        RUNGS.check("rungs", rungs)
        self.budget = BudgetSettings(budget, budget_params, budget_ms, latency)
        self.start_with_stacks = start_with_stacks
        self.reward_for_failure = reward_for_failure
        self.give_up_after = give_up_after
        self._choices: SpaceChoices | None = None
        self._agent: SearchAgent | None = None
        self._early_state: Mapping[str, Any] = {}
        self._halving = None if rungs is None else SuccessiveHalving(read_rungs("rungs", rungs))
        self._of_stages: dict[int, ExecutableModelSpace] = {}
        self._temporary: str | None = None
        # Models by their identity, as the engine's events hold the instance that was submitted.
        self._running: dict[int, tuple[ExecutableModelSpace, _Proposal]] = {}
        # With several trials at a time NNI may tell the end of one by the parameters of another that still runs.
        self._without_result: dict[int, _WithoutResult] = {}
        self._interrupted: list[_Proposal] = []
        self._failures = 0
        self._resumed = False
        self._others_at_work = False
        # Results come in another thread where trials are processes, and inside submit_models() where they are not.
        self._lock = threading.RLock()
        self._ended = threading.Event()

    def extra_repr(self) -> str:
        """Return the arguments for NNI's log."""
        return f"{self.controller}, {self.learning}"

    @property
    def agent(self) -> SearchAgent:
        """The controller and what it has learnt, once :meth:`initialize` was called."""
        if self._agent is None:
            raise RuntimeError("HierarchicalRL: has no space yet; initialize() must be called first")
        return self._agent

    def list_models(self, sort: bool = True, limit: int | None = None) -> Iterator[ExecutableModelSpace]:
        """Yield the models that were evaluated, best first and each architecture once.

        With rungs those of the last rung come first, as rewards of different lengths don't compare.

        Parameters
        ----------
        sort
            False for all models that were submitted, in that order.
        limit
            At most so many.
        """
        if not sort:
            yield from super().list_models(sort=False, limit=limit)
            return
        seen: set[str] = set()
        # The sort is stable: within a stage they stay by reward.
        for model in sorted(super().list_models(sort=True), key=self._stage_number, reverse=True):
            key = result_key(self._sample(model), 0.0)
            if key not in seen:
                seen.add(key)
                yield model
            if limit is not None and len(seen) >= limit:
                return

    def state_dict(self) -> dict[str, Any]:
        """Return all that the search goes on from; NNI saves it with the experiment, even where none has begun."""
        if self._agent is None:
            return dict(self._early_state)
        with self._lock:
            running = [*(proposal for _, proposal in self._running.values()), *self._interrupted]
            return {
                "agent": self.agent.state_dict(),
                # With rungs it is the halving's state that tells.
                "running": [proposal.sample for proposal in running if proposal.stage is None],
                "failures": self._failures,
                "halving": None if self._halving is None else self._halving.state_dict(),
            }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; before :meth:`initialize` it is kept until then.

        Raises
        ------
        ValueError
            If the state is of another search space, another kind of controller or other rungs, or weights that it needs
            were in a temporary folder; :meth:`initialize` raises it of one that was given before.
        """
        if not state_dict:
            return
        if self._agent is None:
            self._early_state = state_dict
            return
        with self._lock:
            restore(self._halving, state_dict.get("halving"))
            self.agent.load_state_dict(state_dict["agent"])
            self._interrupted = [_Proposal(dict(sample)) for sample in state_dict["running"]]
            if self._halving is not None:
                if self._halving.finished and self._needs_folder():
                    raise ValueError(
                        "rungs: the weights to go on from were in a temporary folder; to resume searches whose trials "
                        "run in one process, give the evaluator stages=DIR"
                    )
                self._interrupted = [_Proposal(*started) for started in under_way(self._halving)]
            self._failures = state_dict["failures"]
            self._resumed = True

    def check_space(self, model_space: ExecutableModelSpace) -> None:
        """Refuse a space that has choices that are not categorical, or other ones than `levels` says.

        Raises
        ------
        LayoutError
            The message names the label.
        ValueError
            If there are rungs, and the evaluator can't go on from a trial's weights.
        """
        SpaceChoices(model_space, self.controller.levels)
        self._check_evaluator(model_space)

    def _check_evaluator(self, model_space: ExecutableModelSpace) -> None:
        evaluator = model_space.evaluator
        if self._halving is not None and not hasattr(evaluator, "at_stage"):
            raise ValueError(
                f"rungs: {type(evaluator).__name__} can't go on from a trial's weights; give the experiment "
                "hnas_nni.trial.evaluator.SuperResolution, or leave rungs out"
            )

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        self._check_evaluator(model_space)
        settings = self.controller
        self._choices = SpaceChoices(model_space, settings.levels)
        self._agent = SearchAgent(
            self._choices.layout,
            self.learning,
            seed=settings.seed,
            hidden_size=settings.hidden_size,
            conditioned=settings.conditioned,
            budget=self._bound(model_space),
            start_with_stacks=self.start_with_stacks,
        )
        if self._halving is not None:
            keep_first_proposals(self._halving, self._agent)
        self.load_state_dict(self._early_state)
        mend_engine(engine)
        engine.register_model_event_callback(ModelEventType.FinalMetric, self._on_metric)
        engine.register_model_event_callback(ModelEventType.TrainingEnd, self._on_end)
        return model_space

    def _bound(self, model_space: ExecutableModelSpace) -> Budget | None:
        """Return the budget for networks of the space's sizes."""
        sizes = {name: getattr(model_space, name, None) for name in ("scale", "channels", "layers")}
        return replace(self.budget, **{name: size for name, size in sizes.items() if size is not None}).bound()

    def _cleanup(self) -> None:
        self.engine.unregister_model_event_callback(ModelEventType.FinalMetric, self._on_metric)
        self.engine.unregister_model_event_callback(ModelEventType.TrainingEnd, self._on_end)

    def _run(self) -> None:
        with TemporaryDirectory(prefix="hnas-") if self._needs_folder() else nullcontext() as self._temporary:
            while True:
                self._submit_all()
                self._wait_for_all()
                if self._halving is None or not self.engine.budget_available():
                    return
                # Results that came late, or failures, may call for more.
                with self._lock:
                    if self._halving.next() is None:
                        return

    def _needs_folder(self) -> bool:
        """Whether trials run in this process, so that no experiment has a folder, and rungs are given no other."""
        in_process = isinstance(self.engine, SequentialExecutionEngine)
        return self._halving is not None and in_process and self.model_space.evaluator.stages is None

    def _submit_all(self) -> None:
        """Let what there is to try be tried, until nothing is left or the experiment's budget is used up."""
        while self._wait_for_worker():
            if self._resumed:
                self._learn_others_results()
            model = self._next_model()
            if model is not None:
                self.engine.submit_models(model)
            elif self._halving is not None and (self._running or self._others_at_work):
                self._ended.wait(_POLL)  # what ends may go on
                self._ended.clear()
            else:
                _logger.info("nothing is left to try")
                return

    def _wait_for_all(self) -> None:
        """Wait until all trials have ended and their results have come."""
        while self._running and self.engine.budget_available():
            self._ended.wait(_POLL)
            self._ended.clear()
        self.engine.wait_models()
        # NNI may call the experiment done before it tells how the last trials ended.
        for _ in range(_LAST_POLLS):
            if not self._running:
                break
            self._ended.wait(_POLL)
            self._ended.clear()
        self._give_up_waiting()
        if self._resumed:
            self._learn_others_results()

    def _wait_for_worker(self) -> bool:
        """Wait until a trial can start; False when the experiment's budget is used up."""
        while True:
            with self._lock:
                if not self.agent.learnt and self._failures >= self.give_up_after:
                    raise RuntimeError(
                        f"HierarchicalRL: the first {self._failures} trials failed and none succeeded; "
                        "see the stderr of a trial for the reason"
                    )
            if self.engine.idle_worker_available():
                return self.engine.budget_available()
            if not self.engine.budget_available():
                return False
            # The end of a trial frees its worker a moment later.
            if self._ended.wait(_POLL):
                self._ended.clear()
                for _ in range(10):
                    if self.engine.idle_worker_available():
                        break
                    self._ended.wait(_POLL / 20)

    def _next_model(self) -> ExecutableModelSpace | None:
        """Return what to try next; None where nothing is left, or with rungs all is under way."""
        assert self._choices is not None
        with self._lock:
            for _ in range(_INVALID_PATIENCE):
                proposal = self._next_proposal()
                if proposal is None:
                    return None
                try:
                    model = self._space_of(proposal.stage).freeze(self._choices.to_nni(proposal.sample))
                except SampleValidationError as error:
                    _logger.debug("the space refuses %s: %s", proposal.sample, error)
                    self._take_as_failed(proposal)
                    continue
                self._running[id(model)] = (model, proposal)
                return model
        _logger.warning("the space refused %d proposals in a row", _INVALID_PATIENCE)
        return None

    def _next_proposal(self) -> _Proposal | None:
        if self._interrupted:
            return self._interrupted.pop(0)
        if self._halving is not None:
            climbing = climb(self._halving, self.agent)
            return None if climbing is None else _Proposal(*climbing)
        if self.agent.exhausted:
            return None
        (sample,) = self.agent.propose()
        # Under a budget, how many there are is known when none is left.
        return None if self.agent.repeats else _Proposal(sample)

    def _space_of(self, stage: Stage | None) -> ExecutableModelSpace:
        """Return the space with the evaluator of a stage."""
        if stage is None:
            return self.model_space
        if stage.number not in self._of_stages:
            space = copy.copy(self.model_space)
            space.evaluator = space.evaluator.at_stage(stage, self._temporary)
            self._of_stages[stage.number] = space
        return self._of_stages[stage.number]

    def _stage_of(self, model: ExecutableModelSpace) -> Stage | None:
        """Return the stage that a model was submitted for; its evaluator has it."""
        if self._halving is None:
            return None
        evaluator = model.evaluator
        stage = getattr(evaluator.get() if isinstance(evaluator, FrozenEvaluator) else evaluator, "stage", None)
        return stage if isinstance(stage, Stage) else None

    def _stage_number(self, model: ExecutableModelSpace) -> int:
        stage = self._stage_of(model)
        return 0 if stage is None else stage.number

    def _on_metric(self, event: FinalMetricEvent) -> None:
        """Learn from a result at once: it names its architecture, and the end of a trial may name another's."""
        metric = event.metric.get("default") if isinstance(event.metric, Mapping) else event.metric
        if not isinstance(metric, (int, float)):
            # NNI's listening thread would end by it.
            _logger.warning("result %r is not a number and has no number as its default; it is left out", event.metric)
            event.prevent_default()
            return
        with self._lock:
            key = id(event.model)
            if key in self._without_result:
                proposal = self._without_result.pop(key).proposal
                self._failures -= 1
            elif key in self._running:
                _, proposal = self._running.pop(key)
            else:
                return
            if not self._take_in(proposal, float(metric)):
                self._fail(proposal)

    def _take_in(self, proposal: _Proposal, reward: float) -> bool:
        """Learn from a result of the first stage; let that of any decide who goes on. False for one of no use."""
        if not math.isfinite(reward) or (proposal.is_first and self.agent.learn(proposal.sample, reward) is None):
            return False
        if self._halving is not None:
            self._halving.finish(*proposal.place, reward)
        return True

    def _on_end(self, event: TrainingEndEvent) -> None:
        with self._lock:
            model, proposal = self._running.pop(id(event.model), (None, None))
            if model is not None and proposal is not None and event.status == ModelStatus.Interrupted:
                self._interrupted.append(proposal)
            elif model is not None and proposal is not None:
                failed = event.status != ModelStatus.Trained
                self._without_result[id(model)] = _WithoutResult(model, proposal, failed)
                if failed:
                    self._fail(proposal)
                else:
                    self._failures += 1
        self._ended.set()

    def _give_up_waiting(self) -> None:
        """Take trials that succeeded without a result as failed, now that none can come any more."""
        with self._lock:
            for ended in self._without_result.values():
                if not ended.failed:
                    self._failures -= 1
                    self._fail(ended.proposal)
            self._without_result.clear()

    def _fail(self, proposal: _Proposal) -> None:
        self._failures += 1
        _logger.warning("a trial failed or reported no finite number: %s", proposal.sample)
        self._take_as_failed(proposal)

    def _take_as_failed(self, proposal: _Proposal) -> None:
        if self._halving is not None:
            self._halving.fail(*proposal.place)
        if self.reward_for_failure is not None and proposal.is_first:
            self.agent.learn(proposal.sample, self.reward_for_failure)

    def _learn_others_results(self) -> None:
        """Learn from trials that this object did not submit, those of the experiment before it was resumed.

        NNI runs again what was running when it was stopped, and tells the strategy nothing of it.
        """
        models = list(self.engine.list_models())
        with self._lock:
            known = self.agent.learnt.copy()
            own = {id(model) for model, _ in self._running.values()}
            # Of this object's own trials, what is no longer running has been told how it ended.
            at_work = {proposal.place for _, proposal in self._running.values()}
            at_work |= {ended.proposal.place for ended in self._without_result.values()}
            failed: set[tuple[int, str]] = set()
            self._others_at_work = False
            taken: set[tuple[tuple[int, str], float]] = set()
            for model in models:
                if id(model) in own:
                    continue
                proposal = _Proposal(self._sample(model), self._stage_of(model))
                self.agent.mark_seen(proposal.sample)
                if proposal in self._interrupted:
                    self._interrupted.remove(proposal)
                if model.status == ModelStatus.Trained and model.metric is not None:
                    # One that NNI had given to another trial before a kill, and runs again after it, is there twice.
                    if (result := (proposal.place, float(model.metric))) not in taken:
                        taken.add(result)
                        self._take_others_result(proposal, float(model.metric), known)
                elif self._halving is not None and model.status == ModelStatus.Training:
                    self._halving.start(*proposal.place)
                    at_work.add(proposal.place)
                    self._others_at_work = True
                else:
                    failed.add(proposal.place)
            if self._halving is not None:
                # NNI went on with them, and they failed.
                for place in failed.difference(at_work).intersection(self._halving.running):
                    self._halving.lose(*place)

    def _take_others_result(self, proposal: _Proposal, reward: float, known: Counter[str]) -> None:
        key = result_key(proposal.sample, reward)
        if proposal.is_first and known[key]:
            known[key] -= 1  # the saved state has learnt it
            if self._halving is not None:
                self._halving.finish(*proposal.place, reward)
        else:
            self._take_in(proposal, reward)

    def _sample(self, model: ExecutableModelSpace) -> dict[str, Any]:
        assert self._choices is not None and model.sample is not None
        return self._choices.from_nni(model.sample)
