"""The hierarchical controller as a multi-trial strategy of NNI."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from nni.mutable import SampleValidationError
from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, ModelEventType, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy

from hnas_nni.settings import Setting
from hnas_nni.trial.budget import Budget
from search_spaces.compat.engine import mend_engine
from strategies.agent import SearchAgent, result_key
from strategies.levels import SpaceChoices
from strategies.settings import GIVE_UP_AFTER, SMALL_BUDGET, BudgetSettings, ControllerSettings, learning_settings

_logger = logging.getLogger("nni.hnas")

_INVALID_PATIENCE = 1000
"""Proposals in a row that the space may refuse, as its constraints do, before the search ends."""

_POLL = 1.0
"""Seconds between looks at the budget, which NNI announces by no event."""

_LAST_POLLS = 60

_REWARD_FOR_FAILURE = Setting(float, "to learn from a trial that fails", give="a finite number")


class _WithoutResult(NamedTuple):
    """A trial that ended, as NNI says, and that no result has come from."""

    model: ExecutableModelSpace
    sample: dict[str, Any]
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
    **learning
        As for :class:`PolicySettings`.

    Raises
    ------
    ValueError
        If an argument is unknown or out of range. :meth:`initialize`, which an experiment calls before its first
        trial, raises it for a space with a choice that is not categorical, by its label;
        :class:`search_spaces.MendedNasExperiment` does so before it starts anything.

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
        **learning: Any,
    ) -> None:
        super().__init__()
        self.controller = ControllerSettings(seed, conditioned, hidden_size, levels)
        self.learning = learning_settings(learning, SMALL_BUDGET)
        if reward_for_failure is not None:
            _REWARD_FOR_FAILURE.check("reward_for_failure", reward_for_failure)
        GIVE_UP_AFTER.check("give_up_after", give_up_after)
        self.budget = BudgetSettings(budget, budget_params, budget_ms, latency)
        self.reward_for_failure = reward_for_failure
        self.give_up_after = give_up_after
        self._choices: SpaceChoices | None = None
        self._agent: SearchAgent | None = None
        self._early_state: Mapping[str, Any] = {}
        # Models by their identity, as the engine's events hold the instance that was submitted.
        self._running: dict[int, tuple[ExecutableModelSpace, dict[str, Any]]] = {}
        # With several trials at a time NNI may tell the end of one by the parameters of another that still runs.
        self._without_result: dict[int, _WithoutResult] = {}
        self._interrupted: list[dict[str, Any]] = []
        self._failures = 0
        self._resumed = False
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
        for model in super().list_models(sort=True):
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
            running = [sample for _, sample in self._running.values()]
            return {
                "agent": self.agent.state_dict(),
                "running": [*running, *self._interrupted],
                "failures": self._failures,
            }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; before :meth:`initialize` it is kept until then.

        Raises
        ------
        ValueError
            If the state is of another search space or another kind of controller; :meth:`initialize` raises it of one
            that was given before.
        """
        if not state_dict:
            return
        if self._agent is None:
            self._early_state = state_dict
            return
        with self._lock:
            self.agent.load_state_dict(state_dict["agent"])
            self._interrupted = [dict(sample) for sample in state_dict["running"]]
            self._failures = state_dict["failures"]
            self._resumed = True

    def check_space(self, model_space: ExecutableModelSpace) -> None:
        """Refuse a space that has choices that are not categorical, or other ones than `levels` says.

        Raises
        ------
        LayoutError
            The message names the label.
        """
        SpaceChoices(model_space, self.controller.levels)

    def _initialize(self, model_space: ExecutableModelSpace, engine: ExecutionEngine) -> ExecutableModelSpace:
        settings = self.controller
        self._choices = SpaceChoices(model_space, settings.levels)
        self._agent = SearchAgent(
            self._choices.layout,
            self.learning,
            seed=settings.seed,
            hidden_size=settings.hidden_size,
            conditioned=settings.conditioned,
            budget=self._bound(model_space),
        )
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
        while self._wait_for_worker():
            if self._resumed:
                self._learn_others_results()
            model = self._next_model()
            if model is None:
                _logger.info("no architecture is left that was not tried")
                break
            self.engine.submit_models(model)
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
        assert self._choices is not None
        with self._lock:
            for _ in range(_INVALID_PATIENCE):
                if self._interrupted:
                    sample = self._interrupted.pop(0)
                elif self.agent.exhausted:
                    return None
                else:
                    (sample,) = self.agent.propose()
                    if self.agent.repeats:  # under a budget, how many there are is known when none is left
                        return None
                try:
                    model = self.model_space.freeze(self._choices.to_nni(sample))
                except SampleValidationError as error:
                    _logger.debug("the space refuses %s: %s", sample, error)
                    if self.reward_for_failure is not None:
                        self.agent.learn(sample, self.reward_for_failure)
                    continue
                self._running[id(model)] = (model, sample)
                return model
        _logger.warning("the space refused %d proposals in a row", _INVALID_PATIENCE)
        return None

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
                sample = self._without_result.pop(key).sample
                self._failures -= 1
            elif key in self._running:
                _, sample = self._running.pop(key)
            else:
                return
            if self.agent.learn(sample, float(metric)) is None:
                self._fail(sample)

    def _on_end(self, event: TrainingEndEvent) -> None:
        with self._lock:
            model, sample = self._running.pop(id(event.model), (None, None))
            if model is not None and sample is not None:
                failed = event.status != ModelStatus.Trained
                self._without_result[id(model)] = _WithoutResult(model, sample, failed)
                if failed:
                    self._fail(sample)
                else:
                    self._failures += 1
        self._ended.set()

    def _give_up_waiting(self) -> None:
        """Take trials that succeeded without a result as failed, now that none can come any more."""
        with self._lock:
            for ended in self._without_result.values():
                if not ended.failed:
                    self._failures -= 1
                    self._fail(ended.sample)
            self._without_result.clear()

    def _fail(self, sample: Mapping[str, Any]) -> None:
        self._failures += 1
        _logger.warning("a trial failed or reported no finite number: %s", sample)
        if self.reward_for_failure is not None:
            self.agent.learn(sample, self.reward_for_failure)

    def _learn_others_results(self) -> None:
        """Learn from trials that this object did not submit, those of the experiment before it was resumed.

        NNI runs again what was running when it was stopped, and tells the strategy nothing of it.
        """
        models = list(self.engine.list_models())
        with self._lock:
            known = self.agent.learnt.copy()
            own = {id(model) for model, _ in self._running.values()}
            for model in models:
                if id(model) in own:
                    continue
                sample = self._sample(model)
                self.agent.mark_seen(sample)
                if sample in self._interrupted:
                    self._interrupted.remove(sample)
                if model.status == ModelStatus.Trained and model.metric is not None:
                    key = result_key(sample, float(model.metric))
                    if known[key]:
                        known[key] -= 1
                    else:
                        self.agent.learn(sample, float(model.metric))

    def _sample(self, model: ExecutableModelSpace) -> dict[str, Any]:
        assert self._choices is not None and model.sample is not None
        return self._choices.from_nni(model.sample)
