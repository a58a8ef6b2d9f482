"""The hierarchical controller as a tuner for ``nnictl create``."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nni import NoMoreTrialError
from nni.runtime.env_vars import dispatcher_env_vars
from nni.tuner import Tuner

from hnas_nni.foreign_text import as_number
from hnas_nni.settings import Setting
from hnas_nni.trial.parameters import COST_SCALE, LAMBDA, OF_TUNER, STAGE, WEIGHTS_AT, Stage, reward_parameters
from hnas_nni.trial.reward import JointReward
from strategies.climbing import architecture_key, climb, keep_first_proposals, restore
from strategies.common_weights import serve_weights
from strategies.foreground import end_with_the_manager
from strategies.imported import ImportedResult, read_record
from strategies.layout import SpaceLayout
from strategies.levels import read_levels
from strategies.nni_manager import (
    end_experiment,
    last_error_output,
    lost_with_its_machine,
    restore_search_space,
    running_trials,
    started_parameters,
    stopped_trials,
)
from strategies.settings import (
    GIVE_UP_AFTER,
    RUNGS,
    SMALL_BUDGET,
    START_WITH_STACKS,
    BudgetSettings,
    ControllerSettings,
    PolicySettings,
)
from strategies.successive_halving import SuccessiveHalving, read_rungs
from strategies.trial_pictures import draw_trial
from strategies.tuner_files import TunerFiles, last_line
from strategies.tuner_progress import TunerProgress

if TYPE_CHECKING:
    from hnas_nni.trial.weights_server import WeightsServer
    from strategies.agent import SearchAgent
    from strategies.policy_gradient import PolicyGradient

_logger = logging.getLogger("nni.hnas")

_PROBES = 64
"""Architectures that the position's distribution is averaged over for the history."""


@dataclass(frozen=True)
class _Settings(ControllerSettings):
    """The tuner's own arguments."""

    give_up_after: int = GIVE_UP_AFTER(4)
    optimize_mode: str = Setting(
        str, "what becomes of rewards", choices=("maximize",), give="maximize, as rewards are"
    )("maximize")
    rungs: Sequence[Sequence[int]] | None = RUNGS(None)
    start_with_stacks: bool = START_WITH_STACKS(True)


class HierarchicalTuner(Tuner):
    """Hierarchical reinforcement-learning search (HNAS, section II-D) for experiments of ``nnictl``.

    The controller samples the cells and then, given them, the network level. Each final result is one step of policy
    gradient under the policy of that moment, so results may come late, in any order and from any number of trials at
    a time. The defaults are those of :data:`SMALL_BUDGET`, made for some hundred trials.

    No architecture is proposed twice; when there is no other left, the experiment ends. A trial that an assessor stops
    teaches what it showed last.

    After every result the whole state is saved, whole or not at all, in the experiment's checkpoint folder. After a
    kill ``nnictl resume`` goes on with the same policy; results that came in but were not learnt yet are learnt then.

    Parameters
    ----------
    lambda : float, optional
        Weight of PSNR against cost in the joint reward, 0..1; handed to the trials as parameter ``lambda``. Left out,
        the trials' own ``default`` metric is the reward, or with a budget PSNR alone.
    cost_scale : float, optional
        What a billion multiply-adds costs in dB; 0.05 as in the authors' code.
    seed : int, optional
        Of the controller's weights and of the sampling. With one trial at a time a search repeats exactly, as far as
        the trials do.
    conditioned : bool, optional
        False makes the position independent of the cells, the paper's ablation.
    hidden_size : int, optional
        Of the LSTMs, 100.
    give_up_after : int, optional
        End the experiment when this many trials failed and none succeeded, 4.
    optimize_mode : str, optional
        "maximize", the only mode; accepted because NNI's tuners have it.
    budget, budget_params : float, optional
        The most multiply-adds, in 10^9 at a 3x480x480 input, and the most parameters. Candidates that would lead above
        are masked while the controller decides, so that nothing above is proposed.
    budget_ms, latency : float and str, optional
        The most milliseconds, and the absolute path of the table that ``hnas latency`` measured on the device.
    scale, channels, layers : int, optional
        Of the networks that trials build, for a budget: C and L count where the space leaves them open.
    rungs : list, optional
        Successive halving: ``[[48, 500], [8, 2000], [2, 8000]]`` is 48 trials of 500 steps; the best 8 of them go on
        from their own weights for another 2,000, and the best 2 of these for another 8,000. Then the experiment ends.
        The policy learns from the first rung alone, whose rewards are comparable. Left out, every trial is a new
        architecture and has the steps of its command.
    start_with_stacks : bool, optional
        Under a budget in the efficient space, try the plain stacks of collapsible convolutions that fill it first, and
        let the best of them have a place in every rung of more than one trial, so that no search ends below them; true.
    levels : dict, optional
        Which choices form which cell, and which are decided last, given the cells; see
        :class:`strategies.levels.SpaceChoices`. Left out, the labels tell: ``<cell>/...`` is a cell, and labels without
        a ``/`` are decided last.
    learning_rate, entropy_weight, position_weight, baseline_decay, gradient_clip, normalize_advantage, elite_size, \
elite_weight, candidates : optional
        As for :class:`PolicySettings`.

    Raises
    ------
    ValueError
        If an argument is unknown or out of range; the message names it.

    Examples
    --------
    In ``config.yml``::

        tuner:
          className: strategies.HierarchicalTuner
          classArgs:
            lambda: 0.6
            seed: 0
    """

    def __init__(self, **arguments: Any) -> None:
        # torch is loaded only in update_search_space(): NNI gives a tuner ten seconds to be made and to connect.
        learning, own, cost = (set(c.stated()) for c in (PolicySettings, _Settings, BudgetSettings))
        known = learning | own | cost | {LAMBDA, COST_SCALE}
        for name in arguments:
            if name not in known:
                valid = ", ".join(sorted(known))
                raise _refusal(f"classArgs: {name} is unknown; valid are {valid}")
        try:
            self._settings = _Settings(**_pick(arguments, own))
            self._learning = PolicySettings(**{**SMALL_BUDGET, **_pick(arguments, learning)})
            self._budget = BudgetSettings(**_pick(arguments, cost)).bound()
            self._reward = None
            if LAMBDA in arguments:
                self._reward = JointReward(arguments[LAMBDA], arguments.get(COST_SCALE, JointReward.cost_scale))
            elif self._budget is not None:
                self._reward = JointReward(1.0)  # the budget says what cost is worth
            elif COST_SCALE in arguments:
                raise ValueError("cost_scale: has no effect without lambda; give both or none")
        except ValueError as error:
            raise _refusal(f"classArgs: {error}") from error
        self._files = TunerFiles()
        self._agent: SearchAgent | None = None
        self._common: tuple[WeightsServer, str] | None = None
        rungs = self._settings.rungs
        self._halving = None if rungs is None else SuccessiveHalving(read_rungs("rungs", rungs))
        self._search_space: Mapping[str, Any] = {}
        self._resumed_space: Mapping[str, Any] | None = None
        self._running: dict[int, dict[str, Any]] = {}
        self._forgotten: dict[int, dict[str, Any]] = {}
        self._stopped: set[str] = set()
        self._stops_to_come = 0
        self._progress = TunerProgress(None if self._halving is None else self._halving.trials)
        end_with_the_manager(self._progress.say)
        self._failures = 0
        self._exhausted = False
        self._ended = False
        # Trials end in another thread of NNI's dispatcher than the one that asks for new ones.
        self._lock = threading.Lock()

    def update_search_space(self, search_space: Mapping[str, Any]) -> None:
        """Make the controller of a search space, and go on from the saved state if there is one.

        The space can't be changed once a search has begun, neither while it runs nor between two sessions: it stays as
        it was, in NNI's configuration too, and a warning says so.

        Raises
        ------
        ValueError
            If a choice is not categorical, `levels` do not fit the labels, or the saved state is damaged or that of
            another search.
        """
        with self._lock:
            if self._agent is None and self._resumed_space is None:
                if dispatcher_env_vars.NNI_MODE == "resume":
                    self._resumed_space = search_space
                else:
                    self._begin(search_space)
            else:
                self._begin_if_resumed()
                self._keep_space(search_space)

    def _begin_if_resumed(self) -> None:
        """Begin where NNI resumes the experiment, which :meth:`update_search_space` must not wait for.

        NNI starts again at once what ran before. Results that come while a tuner loads torch are lost to it, and NNI's
        dispatcher then ends by a KeyError at the next one; after the answer NNI keeps to the order.
        """
        if self._resumed_space is not None:
            search_space, self._resumed_space = self._resumed_space, None
            self._begin(search_space)
            self._know_again(started_parameters())

    def _begin(self, search_space: Mapping[str, Any]) -> None:
        """Make the controller, and go on from the saved state if there is one."""
        try:
            state = self._files.read_state()
            self._search_space = search_space if state is None else state.get("search_space", search_space)
            self._make_agent()
        except ValueError as error:
            raise _refusal(str(error)) from error
        try:
            if state is not None:
                self._restore(state)
        except ValueError as error:
            raise _refusal(f"{self._files.folder}: {error}") from error
        try:
            self._common = serve_weights(self._files.folder)
        except ValueError as error:
            raise _refusal(str(error)) from error
        self._keep_space(search_space)
        self._progress.begin(() if self._halving is None else self._halving.rungs)

    def _know_again(self, started: Sequence[Any]) -> None:
        """Keep what earlier sessions have started from being proposed again: NNI itself goes on with what still ran."""
        agent = self._require_agent()
        for parameters in started:
            try:
                agent.mark_seen(read_record({"parameter": parameters, "value": None}, agent.layout).sample)
            except ValueError:  # what a person gave in the web UI
                continue

    def _make_agent(self) -> None:
        network, cells = read_levels(self._settings.levels, self._search_space)
        layout = SpaceLayout.from_search_space(self._search_space, network, cells)
        import torch

        from strategies.agent import SearchAgent

        if dispatcher_env_vars.SDK_PROCESS == "dispatcher":
            # The controller is small; more threads would only take the cores from the trials beside it.
            torch.set_num_threads(1)
        settings = self._settings
        self._agent = SearchAgent(
            layout,
            self._learning,
            seed=settings.seed,
            hidden_size=settings.hidden_size,
            conditioned=settings.conditioned,
            budget=self._budget,
            start_with_stacks=settings.start_with_stacks,
        )
        if self._halving is not None:
            keep_first_proposals(self._halving, self._agent)

    def _keep_space(self, given: Mapping[str, Any]) -> None:
        """Undo a change of the space, with a word to the user."""
        if given == self._search_space:
            return
        warning = (
            "search space: it can't change during a search and stays as it was; start a new experiment for another"
        )
        _logger.error(warning)
        self._progress.say(f"HierarchicalTuner: {warning}")
        restore_search_space(self._search_space)

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        """Sample one architecture.

        Raises
        ------
        nni.NoMoreTrialError
            If all trials so far failed; the experiment ends instead of failing for ever.
        """
        samples = self.generate_multiple_parameters([parameter_id])
        if not samples:
            raise NoMoreTrialError("all trials failed" if self._gives_up() else "no trial is left")
        return samples[0]

    def generate_multiple_parameters(self, parameter_id_list: list[int], **kwargs: Any) -> list[dict[str, Any]]:
        """Sample as many architectures as NNI wants, in one pass of the controller.

        Fewer come where no other is left or the last rung is under way, none where all trials so far failed; the
        experiment then ends with the trials that run.
        """
        with self._lock:
            self._begin_if_resumed()
            if self._gives_up():
                self._report_failure(kwargs.get("st_callback"))
                return []
            extra: dict[str, Any] = {} if self._reward is None else dict(reward_parameters(self._reward))
            if self._common is not None:
                extra[WEIGHTS_AT] = self._common[1]
            if self._halving is None:
                proposals = iter(self._require_agent().propose_new(len(parameter_id_list)))
            else:
                proposals = self._climbing(self._halving)
            samples = []
            for parameter_id, sample in zip(parameter_id_list, proposals, strict=False):
                self._running[parameter_id] = sample | extra
                samples.append(sample | extra)
            self._exhausted = len(samples) < len(parameter_id_list)
            if samples and self._exhausted:
                # NNI 3.0 tells its manager that there are no more with the first number, and then has the empty text
                # that goes with it for the parameters of that trial.
                self._forgotten[parameter_id_list[0]] = samples[0]
            self._end_if_done()
            if self._halving is not None:
                self._save()
            return samples

    def receive_trial_result(self, parameter_id: int, parameters: dict[str, Any], value: Any, **kwargs: Any) -> None:
        """Learn from a trial's final result and save the state; leave a picture of its architecture in its folder."""
        with self._lock:
            self._begin_if_resumed()
            parameters = self._forgotten.pop(parameter_id, parameters)
            self._learn(parameters, value)
            self._save()
            self._progress.tell(parameters, value, self._reward_of(value))
            self._end_if_done()
            trial, folder = kwargs.get("trial_job_id"), self._files.folder
            if trial is not None and folder is not None:
                draw_trial(folder.parent, trial, self._sample(parameters), self._search_space)

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Learn what a trial showed that was stopped early; count others that failed, which teach nothing."""
        with self._lock:
            self._begin_if_resumed()
            parameters = self._running.pop(parameter_id, None)
            if not success and not self._is_stop():
                self._failures += 1
                if self._halving is not None and parameters is not None:
                    lost = parameters[STAGE] > 1 and lost_with_its_machine(parameter_id)
                    note = self._halving.lose if lost else self._halving.fail
                    note(parameters[STAGE], architecture_key(self._sample(parameters)))
                    self._save()
                _logger.warning("trial with parameter id %s failed; the policy does not learn from it", parameter_id)
            self._end_if_done()

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Learn from finished trials: those of this experiment before it was resumed, or another one's.

        What the saved state has learnt already is left out, and with a warning what is none of this space or has no
        finite reward. Rungs are climbed by the experiment's own trials alone, whose weights it has.
        """
        from strategies.agent import result_key

        with self._lock:
            self._begin_if_resumed()
            known, left_out = self._learnt.copy(), 0
            for record in data:
                try:
                    imported = read_record(record, self._require_agent().layout)
                    reward = self._reward_of(imported.value)
                    if not math.isfinite(reward):
                        raise ValueError("it has no finite reward")
                except ValueError as error:
                    left_out += 1
                    _logger.warning("an imported result is none of this search and is left out: %s", error)
                    continue
                ours = self._is_ours(imported)
                if ours:
                    self._go_on_with(imported, reward)
                key = result_key(imported.sample, reward)
                if imported.stage not in (None, 1):
                    continue
                if known[key]:
                    known[key] -= 1
                else:
                    self._learn_reward(imported.sample, reward, tried=ours or self._halving is None)
            if left_out:
                self._progress.say(f"imported: {left_out} of {len(data)} results are none of this search and left out")
            self._save()
            self._end_if_done()

    def load_checkpoint(self) -> None:
        """Do nothing: the state is read once the search space is known, in :meth:`update_search_space`."""

    def save_checkpoint(self) -> None:
        """Do nothing: the state is saved after each result."""

    def _gives_up(self) -> bool:
        return not self._learnt and self._failures >= self._settings.give_up_after

    def _report_failure(self, callback: Callable[..., None] | None) -> None:
        """Say why the experiment ends, in the log of NNI's manager."""
        reason = self._files.last_trial_error() or last_line(last_error_output())
        reason = reason or "see a trial's stderr for the reason"
        message = f"HierarchicalTuner: the first {self._failures} trials failed and none succeeded: {reason}"
        _logger.error(message)
        dispatcher = getattr(callback, "__self__", None)
        if dispatcher is not None:
            from nni.runtime.tuner_command_channel import CommandType

            dispatcher.send(CommandType.Error, message)

    def _require_agent(self) -> SearchAgent:
        if self._agent is None:
            raise RuntimeError("update_search_space() must be called first")
        return self._agent

    def _require_policy(self) -> PolicyGradient:
        return self._require_agent().policy

    @property
    def _learnt(self) -> Counter[str]:
        return Counter() if self._agent is None else self._agent.learnt

    def _climb(self, halving: SuccessiveHalving) -> dict[str, Any] | None:
        """Return what to try next in a search by successive halving, None when all is under way."""
        if halving.running and halving.next() is None and not self._running and running_trials() == 0:
            # Lost: they failed after a resume, of which NNI tells nothing, or a kill came before NNI knew of them.
            halving.lose_running()
        proposal = climb(halving, self._require_agent())
        return None if proposal is None else proposal[0] | proposal[1].to_nni()

    def _climbing(self, halving: SuccessiveHalving) -> Iterator[dict[str, Any]]:
        """Yield what to try next until all is under way; note each as running before the next."""
        while (sample := self._climb(halving)) is not None:
            yield sample

    def _end_if_done(self) -> None:
        """Say what was found and end the experiment, once, when the last trial has its result or has ended."""
        if self._ended:
            return
        if self._halving is not None:
            done = self._halving.done
        else:
            # Earlier NNI would not start what it has been given and has not submitted yet.
            done = self._exhausted and not self._running and not self._gives_up()
            if done:
                self._progress.say("nothing is left in the space that was not tried")
        if done:
            self._ended = True
            self._progress.end()
            end_experiment()

    def _is_stop(self) -> bool:
        """Whether the trial that has just ended was stopped early; learn from all that were.

        NNI may tell the end of one trial as that of another, so that only their number is certain.
        """
        for trial in stopped_trials():
            if trial.id in self._stopped:
                continue
            self._stopped.add(trial.id)
            try:
                shown = read_record(trial.record, self._require_agent().layout)
            except ValueError as error:  # parameters that a person gave in the web UI, for example
                _logger.warning("trial %s was stopped and is none of this search: %s", trial.id, error)
                continue
            reward = self._reward_of(shown.value)
            if math.isfinite(reward):
                self._stops_to_come += 1
                self._learn_stopped(shown, reward)
        if self._stops_to_come == 0:
            return False
        self._stops_to_come -= 1
        return True

    def _learn_stopped(self, shown: ImportedResult, reward: float) -> None:
        if self._halving is not None:
            self._halving.stop(shown.stage or 1, architecture_key(shown.sample), reward)
        from strategies.agent import result_key

        # Where NNI includes intermediate results it has told those already, as if final, that its assessor stopped.
        included = dispatcher_env_vars.NNI_INCLUDE_INTERMEDIATE_RESULTS == "true"
        if not (included and self._learnt[result_key(shown.sample, reward)]):
            if shown.stage in (None, 1):
                self._learn_reward(shown.sample, reward)
            self._progress.tell(self._stage_parameters(shown.stage), shown.value, reward, stopped=True)
        self._save()

    def _stage_parameters(self, stage: int | None) -> dict[str, Any]:
        """Return a stage as a trial's parameters say it."""
        if self._halving is None or stage is None or stage > len(self._halving.rungs):
            return {}
        return Stage(stage, self._halving.rungs[stage - 1].steps).to_nni()

    def _is_ours(self, imported: ImportedResult) -> bool:
        """Whether a finished trial was one of the rungs of this experiment, with weights to go on from."""
        if self._halving is None or imported.stage is None:
            return False
        if self._halving.knows(imported.stage, architecture_key(imported.sample)):
            return True
        return self._files.has_weights_of(imported.sample, imported.stage)  # where the state was lost the weights tell

    def _go_on_with(self, imported: ImportedResult, reward: float) -> None:
        """Take a trial of the rungs in; tell of it if it ended between two sessions, or NNI went on with it."""
        assert self._halving is not None and imported.stage is not None
        stage = self._stage_parameters(imported.stage)
        if (imported.stage, architecture_key(imported.sample)) in self._halving.running:
            self._progress.tell(stage, imported.value, reward)
        else:
            self._progress.recall(stage, imported.value, reward)
        self._halving.finish(imported.stage, architecture_key(imported.sample), reward)

    def _later_stage(self, parameters: Mapping[str, Any]) -> bool:
        return parameters.get(STAGE, 1) > 1

    def _learn(self, parameters: Mapping[str, Any], value: Any) -> None:
        reward = self._reward_of(value)
        if not math.isfinite(reward):
            _logger.warning("result %r has no finite reward and is left out", value)
            return
        sample = self._sample(parameters)
        if self._halving is not None:
            self._halving.finish(parameters.get(STAGE, 1), architecture_key(sample), reward)
        if not self._later_stage(parameters):
            self._learn_reward(sample, reward)

    def _learn_reward(self, sample: Mapping[str, Any], reward: float, *, tried: bool = True) -> None:
        """Let the policy learn; from the first stage alone, as longer trainings are not comparable with it."""
        stats = self._require_agent().learn(sample, reward, tried=tried)
        if stats is None:
            _logger.warning("a result above the budget is left out: %s", sample)
        else:
            self._record(reward, stats)

    def _sample(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The architecture alone, without what was added for the trial."""
        return {label: value for label, value in parameters.items() if label not in OF_TUNER}

    def _reward_of(self, value: Any) -> float:
        """The reward of a trial's final metric: under our own lambda where PSNR and cost are there."""
        if isinstance(value, Mapping):
            psnr, gmacs = (value.get(name) for name in ("psnr", "gmacs"))
            if self._reward is not None and psnr is not None and gmacs is not None:
                psnr, gmacs = as_number(psnr), as_number(gmacs)
                return math.nan if psnr is None or gmacs is None else self._reward(psnr, gmacs)
            value = value.get("default")
        reward = as_number(value)
        return math.nan if reward is None else reward

    def _save(self) -> None:
        halving = None if self._halving is None else self._halving.state_dict()
        self._files.save_state(
            {
                "agent": self._require_agent().state_dict(),
                "halving": halving,
                "search_space": dict(self._search_space),
                "stopped": sorted(self._stopped),
            }
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._require_agent().load_state_dict(state["agent"])
        restore(self._halving, state["halving"])
        if self._halving is not None:
            self._progress.go_on(self._halving.finished)
        self._stopped = set(state.get("stopped", ()))
        self._files.forget_unsaved_history(self._learnt.total())
        _logger.info("went on from the saved state with %d results", self._learnt.total())

    def _record(self, reward: float, stats: Mapping[str, float]) -> None:
        """Append what the policy looks like now to the history."""
        if self._files.folder is None:
            return
        import torch

        controller = self._require_policy().controller
        probes = controller.sample(_PROBES, torch.Generator().manual_seed(0)).choices
        probabilities = {
            label: [round(value, 4) for value in table.mean(dim=0).tolist()]
            for label, table in controller.network_probabilities(probes).items()
        }
        learnt = self._learnt.total()
        self._files.add_to_history({"result": learnt, "reward": reward, **stats, "probabilities": probabilities})


def _refusal(message: str) -> ValueError:
    """Return the error for bad input, after telling NNI's manager, which else waits and then tells nothing.

    The manager writes it to its log, which ``nnictl create --foreground`` prints and the web UI can show.
    """
    message = f"HierarchicalTuner: {message}"
    url = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
    if dispatcher_env_vars.SDK_PROCESS == "dispatcher" and url:
        from nni.runtime.tuner_command_channel import CommandType, TunerCommandChannel

        channel = TunerCommandChannel(url)
        channel.connect()
        channel._send(CommandType.Error, message)
        channel.disconnect()
    return ValueError(message)


def _pick(arguments: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in names}
