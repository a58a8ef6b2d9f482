"""NNI's NAS experiment with the mends that any strategy profits from."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

from nni.experiment import RunMode
from nni.nas.evaluator import Evaluator
from nni.nas.execution import ExecutionEngine
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import (
    ExecutionEngineConfig,
    ModelFormatConfig,
    NasExperimentConfig,
    RawModelFormatConfig,
    SimplifiedModelFormatConfig,
)
from nni.nas.space import BaseModelSpace, ExecutableModelSpace, RawFormatModelSpace, SimplifiedModelSpace
from nni.nas.strategy import Strategy

from search_spaces.compat.checkpoint import load_checkpoint_state
from search_spaces.compat.engine import mend_engine
from search_spaces.compat.input_pick import plain_sample
from search_spaces.compat.loopback import check_reachable, loopback_only

_logger = logging.getLogger("nni.hnas")


class MendedNasExperiment(NasExperiment):
    """NNI's NAS experiment, in whose place it can stand for every model space, evaluator and strategy.

    Different from that of NNI 3.0, the last release, are:

    - A trial's parameters in the web page are the choices of its architecture, not a serialized model and evaluator.
    - With several trials at a time each architecture has its own result, also where NNI's manager exchanged two, and a
      resumed experiment goes on (:func:`search_spaces.compat.engine.mend_engine`).
    - ``resume`` goes on with every strategy of NNI under torch 2.6 and later
      (:func:`search_spaces.compat.checkpoint.load_checkpoint_state`).
    - A space that the strategy can't control is refused before anything is started, by strategies that have a
      ``check_space``.
    - GridSearch evaluates what it names where trials run in this process, as one-shot supernets do.
    - The web server, which has no password, can be for this machine alone.

    Nothing else changes for one-shot strategies, which have no web page.

    Parameters
    ----------
    model_space, evaluator, strategy, config, id
        As for NNI's own.
    loopback_only
        Let NNI's web server listen on 127.0.0.1 in place of every interface.

    Examples
    --------
    >>> from nni.nas.strategy import Random
    >>> from hnas_nni.trial.evaluator import SuperResolution
    >>> from search_spaces import HNASSpace
    >>> experiment = MendedNasExperiment(HNASSpace(), SuperResolution(), Random())
    >>> experiment.run(port=8080)  # doctest: +SKIP
    """

    _engine: ExecutionEngine | None
    _went_on = True
    """False where the saved state could not be taken: it stays as it is, for another try."""

    def __init__(
        self,
        model_space: BaseModelSpace,
        evaluator: Evaluator,
        strategy: Strategy,
        config: NasExperimentConfig | None = None,
        id: str | None = None,
        *,
        loopback_only: bool = False,
    ) -> None:
        super().__init__(model_space, evaluator, strategy, config, id)
        self.loopback_only = loopback_only

    def start(self, port: int = 8080, debug: bool = False, run_mode: RunMode = RunMode.Background) -> None:
        """Start the experiment; see NNI's own.

        Raises
        ------
        ValueError
            If the strategy can't control the space; the message names the choice. Or if `loopback_only` would keep
            trials on other machines from the web server.
        """
        config = self.config.canonical_copy()
        service = config.training_service
        if self.loopback_only and service is not None:
            check_reachable(service.platform, service.nni_manager_ip or config.nni_manager_ip)
        check = getattr(self.strategy, "check_space", None)
        if check is not None:
            check(self.executable_model_factory(config.model_format))
        super().start(port, debug, run_mode)

    def load_checkpoint(self) -> None:
        """Recover the experiment from its checkpoint; see NNI's own.

        Raises
        ------
        ValueError
            If the state of strategy and engine is damaged, the message then names its file, or another search's. It
            stays as it is.
        """
        engine, self._engine = self._engine, None
        try:
            super().load_checkpoint()  # without an engine, the configuration alone
        finally:
            self._engine = engine
        if engine is None:
            return
        self._went_on = False
        path = self._checkpoint_directory / "state.ckpt"
        state = load_checkpoint_state(path)
        if state is None:
            _logger.warning("%s: no state of the strategy was saved; it begins anew", path)
        else:
            self.load_state_dict(state)
        self._went_on = True

    def save_checkpoint(self) -> None:
        """Save the experiment's state, unless it could not go on from what was saved; see NNI's own."""
        if self._went_on:
            super().save_checkpoint()

    def _start_nni_manager(self, *arguments: Any, **named: Any) -> None:
        with loopback_only() if self.loopback_only else nullcontext():
            super()._start_nni_manager(*arguments, **named)

    def execution_engine_factory(self, config: ExecutionEngineConfig) -> ExecutionEngine:
        """Return the engine that runs the trials."""
        engine = super().execution_engine_factory(config)
        mend_engine(engine)
        return engine

    def executable_model_factory(self, config: ModelFormatConfig) -> ExecutableModelSpace:
        """Return the model space in the form that strategies and trials use."""
        if isinstance(config, SimplifiedModelFormatConfig):
            return ReadableModelSpace.from_model(self.model_space, self.evaluator)
        if isinstance(config, RawModelFormatConfig):
            return CopyingModelSpace.from_model(self.model_space, self.evaluator)
        return super().executable_model_factory(config)


class ReadableModelSpace(SimplifiedModelSpace):
    """NNI's simplified model space, with the choices where NNI's web page looks for them.

    The page reads the choices of a NAS trial from ``mutation_summary``, which the models of NNI 3.0 do not have: it
    then shows the serialized model and evaluator instead, and no lines in its *Hyper-parameter* tab.
    """

    def _dump(self) -> dict[str, Any]:
        document: dict[str, Any] = super()._dump()
        if self.sample is not None:
            document["mutation_summary"] = plain_sample(self.sample)
        return document

    @classmethod
    def _load(cls, **document: Any) -> ReadableModelSpace:
        document.pop("mutation_summary", None)
        model: ReadableModelSpace = super()._load(**document)
        return model


class CopyingModelSpace(RawFormatModelSpace):
    """NNI's raw model space, whose models keep samples of their own.

    NNI 3.0's GridSearch freezes one dictionary again and again, changed in between: all models that wait to be
    evaluated become the last one, and those that were evaluated bear another's name.
    """

    def freeze(self, sample: dict[str, Any]) -> RawFormatModelSpace:
        """Return the model of an architecture."""
        return super().freeze(dict(sample))
