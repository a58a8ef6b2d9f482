"""The hierarchical controller as a tuner for ``nnictl create``."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nni import NoMoreTrialError
from nni.runtime.env_vars import dispatcher_env_vars
from nni.tuner import Tuner

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.files import replacing
from hnas_nni.foreign_text import as_number, cut
from hnas_nni.settings import Setting
from hnas_nni.trial.parameters import COST_SCALE, LAMBDA, OF_TUNER, STAGE, WEIGHTS_AT, Stage, reward_parameters
from hnas_nni.trial.reward import JointReward
from strategies.common_weights import serve_weights
from strategies.layout import SpaceLayout
from strategies.levels import read_levels
from strategies.nni_manager import end_experiment, last_error_output, lost_with_its_machine, running_trials
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
from strategies.tuner_progress import TunerProgress

if TYPE_CHECKING:
    from hnas_nni.trial.weights_server import WeightsServer
    from strategies.agent import SearchAgent
    from strategies.policy_gradient import PolicyGradient

_logger = logging.getLogger("nni.hnas")

STATE_FILE = "hierarchical_tuner.pt"
HISTORY_FILE = "policy.jsonl"
"""In the experiment's checkpoint folder: one line for each result that the policy learnt from."""

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
        self._agent: SearchAgent | None = None
        self._common: tuple[WeightsServer, str] | None = None
        rungs = self._settings.rungs
        self._halving = None if rungs is None else SuccessiveHalving(read_rungs("rungs", rungs))
        self._running: dict[int, dict[str, Any]] = {}
        self._progress = TunerProgress(None if self._halving is None else self._halving.trials)
        self._failures = 0
        self._ended = False
        # Trials end in another thread of NNI's dispatcher than the one that asks for new ones.
        self._lock = threading.Lock()

    def update_search_space(self, search_space: Mapping[str, Any]) -> None:
        """Make the controller of a search space, and go on from the saved state if there is one.

        The space can't be changed while the search runs; a change is logged as an error and ignored.

        Raises
        ------
        ValueError
            If a choice is not categorical, `levels` do not fit the labels, or the saved state is that of another
            space.
        """
        try:
            network, cells = read_levels(self._settings.levels, search_space)
            layout = SpaceLayout.from_search_space(search_space, network, cells)
        except ValueError as error:
            raise _refusal(str(error)) from error
        with self._lock:
            if self._agent is not None:
                if layout != self._agent.layout:
                    _logger.error("search space: it can't change during a search; start a new experiment")
                return
            import torch

            from strategies.agent import SearchAgent

            if dispatcher_env_vars.SDK_PROCESS == "dispatcher":
                # The controller is small; more threads would only take the cores from the trials beside it.
                torch.set_num_threads(1)
            settings = self._settings
            try:
                self._agent = SearchAgent(
                    layout,
                    self._learning,
                    seed=settings.seed,
                    hidden_size=settings.hidden_size,
                    conditioned=settings.conditioned,
                    budget=self._budget,
                    start_with_stacks=settings.start_with_stacks,
                )
            except ValueError as error:  # nothing fits the budget
                raise _refusal(str(error)) from error
            if self._halving is not None:
                self._halving.floor = frozenset(map(_key, self._agent.first_proposals))
            try:
                self._restore()
            except ValueError as error:
                raise _refusal(f"{self._folder()}: {error}") from error
            try:
                self._common = serve_weights(self._folder())
            except ValueError as error:
                raise _refusal(str(error)) from error

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

        An empty list ends the experiment: all trials so far failed, or the last rung is under way.
        """
        with self._lock:
            if self._gives_up():
                self._report_failure(kwargs.get("st_callback"))
                return []
            extra: dict[str, Any] = {} if self._reward is None else dict(reward_parameters(self._reward))
            if self._common is not None:
                extra[WEIGHTS_AT] = self._common[1]
            if self._halving is None:
                return [sample | extra for sample in self._require_agent().propose(len(parameter_id_list))]
            samples = []
            for parameter_id in parameter_id_list:
                sample = self._climb(self._halving)
                if sample is None:
                    self._end_if_done()
                    break
                self._running[parameter_id] = sample | extra
                samples.append(sample | extra)
            self._save()
            return samples

    def receive_trial_result(self, parameter_id: int, parameters: dict[str, Any], value: Any, **kwargs: Any) -> None:
        """Learn from a trial's final result and save the state."""
        with self._lock:
            self._learn(parameters, value)
            self._save()
            self._progress.tell(parameters, value, self._reward_of(value))
            self._end_if_done()

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Count failed trials; the policy learns nothing from them."""
        with self._lock:
            parameters = self._running.pop(parameter_id, None)
            if not success:
                self._failures += 1
                if self._halving is not None and parameters is not None:
                    lost = parameters[STAGE] > 1 and lost_with_its_machine(parameter_id)
                    note = self._halving.lose if lost else self._halving.fail
                    note(parameters[STAGE], _key(self._sample(parameters)))
                    self._save()
                _logger.warning("trial with parameter id %s failed; the policy does not learn from it", parameter_id)

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Learn from finished trials: those of this experiment before it was resumed, or another one's.

        What the saved state has learnt already is left out. NNI 3.0 pairs results with the parameters of other
        trials as soon as two run at a time (``V3asV1`` hands parameters out in the order trials ask for them, but
        stores them with the trials they were meant for), so the architecture is read from the result where our trial
        has put it.
        """
        from strategies.agent import result_key

        with self._lock:
            known = self._learnt.copy()
            for record in data:
                try:
                    parameters, value = self._imported_parameters(record), record["value"]
                    key = result_key(self._sample(parameters), self._reward_of(value))
                    self._require_agent().layout.encode(self._sample(parameters))
                except (ValueError, KeyError, TypeError) as error:
                    _logger.warning("%s", cut(f"an imported result is none of this search and is left out: {error!r}"))
                    continue
                self._tell_imported(parameters, value)
                if known[key] and not self._later_stage(parameters):
                    known[key] -= 1
                else:
                    self._learn(parameters, value)
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
        reason = _last_trial_error(self._folder()) or _last_line(last_error_output())
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
        promotion = halving.next()
        if promotion is None and halving.running and not self._running and running_trials() == 0:
            # Lost: they failed after a resume, of which NNI tells nothing, or a kill came before NNI knew of them.
            for stage, architecture in halving.running:
                halving.lose(stage, architecture)
            promotion = halving.next()
        if promotion is None:
            return None
        if promotion.architecture is None:
            agent = self._require_agent()
            (sample,) = agent.propose()
            if agent.repeats:
                halving.exhaust()
                return self._climb(halving)
        else:
            sample = json.loads(promotion.architecture)
        halving.start(promotion.stage, _key(sample))
        return sample | Stage(promotion.stage, promotion.steps).to_nni()

    def _end_if_done(self) -> None:
        """Say what was found and end the experiment, once, when the last trial of the last rung has ended."""
        if self._halving is not None and self._halving.done and not self._ended:
            self._ended = True
            self._progress.end()
            end_experiment()

    def _tell_imported(self, parameters: Mapping[str, Any], value: Any) -> None:
        """Tell of what came in between two sessions, or of a trial that NNI went on with; know again what was told."""
        if self._halving is None or STAGE not in parameters:
            return
        reward = self._reward_of(value)
        if (parameters[STAGE], _key(self._sample(parameters))) in self._halving.running:
            self._progress.tell(parameters, value, reward)
        else:
            self._progress.recall(parameters, value, reward)

    def _later_stage(self, parameters: Mapping[str, Any]) -> bool:
        return parameters.get(STAGE, 1) > 1

    def _learn(self, parameters: Mapping[str, Any], value: Any) -> None:
        reward = self._reward_of(value)
        if self._halving is not None and math.isfinite(reward):
            self._halving.finish(parameters.get(STAGE, 1), _key(self._sample(parameters)), reward)
        if self._later_stage(parameters):
            return  # trained for longer: not comparable with what the policy has learnt
        stats = self._require_agent().learn(self._sample(parameters), reward)
        if stats is None:
            _logger.warning("result %r has no finite reward and is left out", value)
        else:
            self._record(reward, stats)

    def _sample(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The architecture alone, without what was added for the trial."""
        return {label: value for label, value in parameters.items() if label not in OF_TUNER}

    def _imported_parameters(self, record: Mapping[str, Any]) -> dict[str, Any]:
        parameters, value = dict(record["parameter"]), record["value"]
        if isinstance(value, Mapping) and "genotype" in value:
            sample = Genotype.from_string(value["genotype"]).to_sample()
            parameters |= {label: pick[0] if isinstance(pick, list) else pick for label, pick in sample.items()}
            parameters |= {name: value[name] for name in (STAGE,) if name in value}
        return parameters

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

    def _folder(self) -> Path | None:
        folder = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
        return Path(folder) if folder else None

    def _save(self) -> None:
        folder = self._folder()
        if folder is None:
            return
        from hnas_nni.network.state_file import save_state

        halving = None if self._halving is None else self._halving.state_dict()
        state = {"agent": self._require_agent().state_dict(), "halving": halving}
        with _going_on_without():
            folder.mkdir(parents=True, exist_ok=True)
            save_state(state, folder / STATE_FILE)

    def _restore(self) -> None:
        folder = self._folder()
        if folder is None or not (folder / STATE_FILE).exists():
            return
        import torch

        state = torch.load(folder / STATE_FILE, weights_only=True)
        self._require_agent().load_state_dict(state["agent"])
        if (self._halving is None) != (state["halving"] is None):
            raise ValueError(
                f"state: was saved {'without rungs' if state['halving'] is None else 'with rungs'}; give the same again"
            )
        if self._halving is not None:
            self._halving.load_state_dict(state["halving"])
            self._progress.go_on(self._halving.finished)
        self._forget_unsaved_history(folder)
        _logger.info("went on from %s with %d results", folder / STATE_FILE, self._learnt.total())

    def _forget_unsaved_history(self, folder: Path) -> None:
        """Drop the history's lines of results that a kill kept from being saved; they are learnt again."""
        history = folder / HISTORY_FILE
        if not history.exists():
            return
        lines = history.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if json.loads(line)["result"] <= self._learnt.total()]
        if kept != lines:
            with replacing(history) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")

    def _record(self, reward: float, stats: Mapping[str, float]) -> None:
        """Append what the policy looks like now to the history."""
        folder = self._folder()
        if folder is None:
            return
        import torch

        controller = self._require_policy().controller
        probes = controller.sample(_PROBES, torch.Generator().manual_seed(0)).choices
        probabilities = {
            label: [round(value, 4) for value in table.mean(dim=0).tolist()]
            for label, table in controller.network_probabilities(probes).items()
        }
        line = {"result": self._learnt.total(), "reward": reward, **stats, "probabilities": probabilities}
        with _going_on_without():
            folder.mkdir(parents=True, exist_ok=True)
            _append(folder / HISTORY_FILE, json.dumps(line) + "\n")


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


@contextmanager
def _going_on_without() -> Iterator[None]:
    """Let a search go on where its state can't be written, the disk being full for example: trials have their results.

    An error would end NNI's dispatcher, and with it the experiment.
    """
    try:
        yield
    except OSError as error:
        _logger.error("%s: %s; the search goes on, and after a resume learns again", error.filename, error.strerror)


def _append(file: Path, line: str) -> None:
    """Append a line to a file, all of it or nothing."""
    with open(file, "ab", buffering=0) as stream:
        before = stream.tell()
        try:
            written = stream.write(line.encode())
            if written != len(line.encode()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            stream.truncate(before)
            raise OSError(error.errno, error.strerror, str(file)) from error


def _last_trial_error(checkpoint_folder: Path | None) -> str:
    """Return the last line that the latest trial on this machine wrote to its stderr; empty if there is none."""
    logs = [] if checkpoint_folder is None else checkpoint_folder.parent.glob("environments/*/trials/*/trial.stderr")
    for log in sorted(logs, key=lambda path: path.stat().st_mtime, reverse=True):
        if line := _last_line(log.read_text(encoding="utf-8", errors="replace")):
            return line
    return ""


def _last_line(text: str) -> str:
    """Return the last line of a text with something on it; empty if there is none."""
    return next((cut(line.strip()) for line in reversed(text.split("\n")) if line.strip()), "")


def _key(sample: Mapping[str, Any]) -> str:
    """Return the text that successive halving knows an architecture by."""
    return json.dumps(sample, sort_keys=True)


def _pick(arguments: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in names}
