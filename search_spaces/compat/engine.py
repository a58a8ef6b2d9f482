"""A mend for NNI 3.0's engine of trials in processes: exchanged trials, and resumed experiments that stop listening."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import Thread
from typing import Any

from nni.experiment.data import TrialJob
from nni.nas.execution import ExecutionEngine, TrainingServiceExecutionEngine
from nni.runtime.tuner_command_channel.command_type import ReportMetricData, TrialEnd, TunerIncomingCommand

_logger = logging.getLogger("nni.hnas")


def mend_engine(engine: ExecutionEngine) -> None:
    """Let an engine know which trial ran which architecture, and go on listening after a resume.

    *Exchanged trials.* When two trials start at the same moment NNI 3.0's manager may note each with the parameters of
    the other. The results themselves name what was run, but the engine goes by the notes: it tells the end or the
    failure of one trial as that of the other, and lists models with each other's rewards, so that
    ``export_top_models`` may hand out the worst architecture as the best. Here the results decide. The end of a trial
    that reported nothing is told when the trials that it might have been exchanged with have reported or ended.

    *Resumed experiments.* On ``NasExperiment.resume`` the manager first sends the finished trials (``ImportData``), as
    it does to tuners. The engine's channel raises ValueError at it, which ends the listening thread: no trial could
    start any more, with any strategy. The finished trials are in the experiment's database all the same, so the command
    is skipped. Trials that were running go on once a machine is free, after some seconds; until then the engine would
    take them for failed, and an experiment whose last trials they are for ended: here they wait.

    Where trials are not exchanged and nothing unknown is sent, nothing changes.

    Parameters
    ----------
    engine
        Only an engine of trials in processes is changed, and no other one of them; a second call has no effect.
    """
    if not isinstance(engine, TrainingServiceExecutionEngine) or isinstance(engine.nodejs_binding, _TrueBinding):
        return
    engine.nodejs_binding = _TrueBinding(engine.nodejs_binding)
    channel, stop = engine._channel, engine._channel_listen_stop_event
    listening: Thread = engine._channel_listen_thread
    channel.receive = _TrueCommands(channel.receive, engine.nodejs_binding.noted_trial_jobs)

    def go_on() -> None:
        # The first thread may be waiting in the old receive(), or have ended by it.
        listening.join()
        if not stop.is_set():
            channel.listen(stop)

    engine._channel_listen_thread = Thread(target=go_on, daemon=True)
    engine._channel_listen_thread.start()


def what_ran(noted: Mapping[str, int], reported: Mapping[str, int]) -> dict[str, int]:
    """Return the parameters that each trial ran.

    Parameters
    ----------
    noted
        Trial -> number of its parameters, as NNI's manager has it.
    reported
        Trial -> number of the parameters that its results name, for trials that reported something.

    Returns
    -------
    dict
        Trial -> number. A trial that reported nothing ran what is left over where its own parameters were run by
        another: those that the other is noted with, and so on.

    Examples
    --------
    >>> what_ran({"a": 0, "b": 1, "c": 2}, {"a": 1})
    {'a': 1, 'b': 0, 'c': 2}
    """
    runner = {number: trial for trial, number in reported.items()}
    found = {}
    for trial, number in noted.items():
        passed = {number}
        while trial not in reported and number in runner:
            number = noted.get(runner[number], number)
            if number in passed:  # run again, as after a kill
                break
            passed.add(number)
        found[trial] = reported.get(trial, number)
    return found


class _TrueBinding:
    """The experiment that an engine asks for its trials, which come with the parameters that they ran."""

    def __init__(self, experiment: Any) -> None:
        self._experiment = experiment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._experiment, name)

    def noted_trial_jobs(self) -> list[TrialJob]:
        """Return the trials as NNI's manager has noted them."""
        jobs: list[TrialJob] = self._experiment.list_trial_jobs()
        return jobs

    def list_trial_jobs(self) -> list[TrialJob]:
        """Return all trials; see :meth:`nni.experiment.Experiment.list_trial_jobs`."""
        jobs = self.noted_trial_jobs()
        for job in jobs:
            job.status = _known_status(job.status)
        parameters = {noted.parameter_id: noted for job in jobs for noted in job.hyperParameters}
        reported = {job.trialJobId: int(job.finalMetricData[-1].parameterId) for job in jobs if job.finalMetricData}
        ran = what_ran(_notes(jobs), {trial: number for trial, number in reported.items() if number in parameters})
        for job in jobs:
            if job.trialJobId in ran:
                job.hyperParameters = [parameters[ran[job.trialJobId]]]
        return jobs

    def get_job_statistics(self) -> list[dict[str, Any]]:
        """Return how many trials are in which state; see :meth:`nni.experiment.Experiment.get_job_statistics`."""
        statistics = self._experiment.get_job_statistics()
        return [{**entry, "trialJobStatus": _known_status(entry["trialJobStatus"])} for entry in statistics]


class _TrueCommands:
    """Receives the commands of NNI's manager, the ends of trials with the parameters that they ran."""

    def __init__(self, receive: Callable[[], Any], noted_trial_jobs: Callable[[], list[TrialJob]]) -> None:
        self._receive = receive
        self._noted_trial_jobs = noted_trial_jobs
        self._ready: deque[TunerIncomingCommand] = deque()
        self._reported: dict[str, int] = {}
        self._ended: set[str] = set()
        # Ends of trials without a result, and the trials that may have been exchanged with each.
        self._held: dict[str, tuple[TrialEnd, set[str]]] = {}

    def __call__(self) -> TunerIncomingCommand:
        """Wait for the next command that the engine knows."""
        while not self._ready:
            try:
                self._take(self._receive())
            except ValueError as error:
                if "Unknown command type" not in str(error):
                    raise
                _logger.debug("skipped: %s", error)
        return self._ready.popleft()

    def _take(self, command: TunerIncomingCommand) -> None:
        if isinstance(command, ReportMetricData) and command.trial_job_id is not None:
            self._reported[command.trial_job_id] = command.parameter_id
            self._ready.append(command)
            self._settle(command.trial_job_id)
        elif isinstance(command, TrialEnd) and len(command.parameter_ids) == 1:
            self._ended.add(command.trial_job_id)
            rivals = set() if command.trial_job_id in self._reported else self._rivals()
            self._held[command.trial_job_id] = (command, rivals)
            self._settle(command.trial_job_id)
        else:
            self._ready.append(command)

    def _rivals(self) -> set[str]:
        """Return the trials that run and have not told yet what they run."""
        running = {job.trialJobId for job in self._jobs() if job.status == "RUNNING"}
        return running - self._reported.keys() - self._ended

    def _settle(self, trial: str) -> None:
        """Pass on the ends that are certain, now that a trial has reported or ended."""
        for held, (command, rivals) in list(self._held.items()):
            rivals.discard(trial)
            if not rivals or held in self._reported:
                del self._held[held]
                noted = {held: command.parameter_ids[0]}
                if held not in self._reported:
                    noted |= _notes(self._jobs())
                self._ready.append(replace(command, parameter_ids=[what_ran(noted, self._reported)[held]]))

    def _jobs(self) -> list[TrialJob]:
        try:
            return self._noted_trial_jobs()
        except Exception as error:  # whatever it is, ends as the manager tells them are better than none
            _logger.debug("NNI's manager does not list its trials: %s", error)
            return []


def _known_status(status: str) -> str:
    """Return a state of a trial as the engine knows it: one that is to run again waits."""
    return "WAITING" if status == "ADD_RESUMED" else status


def _notes(jobs: Iterable[TrialJob]) -> dict[str, int]:
    return {job.trialJobId: job.hyperParameters[0].parameter_id for job in jobs if len(job.hyperParameters) == 1}
