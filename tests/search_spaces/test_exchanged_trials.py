"""Which trial ran which architecture, where NNI's manager has exchanged two that started together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nni.experiment.data import TrialJob
from nni.nas.execution import SequentialExecutionEngine
from nni.runtime.tuner_command_channel.command_type import (
    MetricType,
    ReportMetricData,
    RequestTrialJobs,
    Terminate,
    TrialEnd,
)

from search_spaces.compat.engine import _TrueBinding, _TrueCommands, mend_engine, what_ran


@pytest.mark.parametrize(
    ("noted", "reported", "expected"),
    [
        ({"a": 0, "b": 1}, {}, {"a": 0, "b": 1}),
        ({"a": 0, "b": 1}, {"a": 0, "b": 1}, {"a": 0, "b": 1}),
        ({"a": 0, "b": 1}, {"a": 1, "b": 0}, {"a": 1, "b": 0}),
        # b failed without a word: it ran what a was meant to run.
        ({"a": 0, "b": 1}, {"a": 1}, {"a": 1, "b": 0}),
        # Three in a circle, of which one failed.
        ({"a": 0, "b": 1, "c": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 0}),
        # Killed before its result, and run again under another name.
        ({"old": 0, "new": 0}, {"new": 0}, {"old": 0, "new": 0}),
    ],
)
def test_results_tell_what_was_run(noted: dict[str, int], reported: dict[str, int], expected: dict[str, int]) -> None:
    assert what_ran(noted, reported) == expected


def _result(trial: str, number: int, kind: MetricType = MetricType.FINAL) -> ReportMetricData:
    return ReportMetricData(parameter_id=number, type=kind, sequence=0, value=1.0, trial_job_id=trial)


def _end(trial: str, number: int, event: str = "SUCCEEDED") -> TrialEnd:
    return TrialEnd(trial, [number], event)


def _told(commands: list[Any], noted: dict[str, int]) -> list[str]:
    """What an engine is told: results and ends of trials by the numbers of their parameters."""
    received = iter(commands)

    def jobs() -> list[Any]:
        return [
            SimpleNamespace(
                trialJobId=trial,
                status="RUNNING",
                hyperParameters=[SimpleNamespace(parameter_id=number)],
            )
            for trial, number in noted.items()
        ]

    def receive() -> Any:
        command = next(received, Terminate())
        if isinstance(command, Exception):
            raise command
        return command

    next_command = _TrueCommands(receive, jobs)
    told = []
    while not isinstance(command := next_command(), Terminate):
        if isinstance(command, ReportMetricData):
            told.append(f"result {command.parameter_id}")
        elif isinstance(command, TrialEnd):
            told.append(f"{command.event.lower()} {command.parameter_ids[0]}")
        else:
            told.append(type(command).__name__)
    return told


def test_ends_follow_the_results() -> None:
    straight = [_result("a", 0), _end("a", 0), _result("b", 1), _end("b", 1)]
    noted = {"a": 0, "b": 1}
    assert _told(straight, noted) == ["result 0", "succeeded 0", "result 1", "succeeded 1"]
    exchanged = [_result("a", 1), _end("a", 0), _result("b", 0), _end("b", 1)]
    assert _told(exchanged, noted) == ["result 1", "succeeded 1", "result 0", "succeeded 0"]


def test_a_failure_is_told_when_it_is_certain_whose_it_is() -> None:
    """a, noted with 0, failed; only b's first word tells that it was 1 that failed."""
    noted = {"a": 0, "b": 1}
    commands = [_end("a", 0, "FAILED"), RequestTrialJobs(1), _result("b", 0, MetricType.PERIODICAL), _end("b", 1)]
    assert _told(commands, noted) == ["RequestTrialJobs", "result 0", "failed 1", "succeeded 0"]
    commands = [_end("a", 0, "FAILED"), _result("b", 1), _end("b", 1)]
    assert _told(commands, noted) == ["result 1", "failed 0", "succeeded 1"]
    both = [_end("a", 0, "FAILED"), _end("b", 1, "FAILED")]
    assert sorted(_told(both, noted)) == ["failed 0", "failed 1"]


def test_a_failure_of_the_only_trial_is_told_at_once() -> None:
    assert _told([_end("a", 0, "FAILED"), RequestTrialJobs(1)], {"a": 0}) == ["failed 0", "RequestTrialJobs"]


def test_what_the_engine_does_not_know_is_skipped_and_nothing_else() -> None:
    unknown = ValueError("Unknown command type: CommandType.ImportData")
    assert _told([unknown, RequestTrialJobs(1)], {}) == ["RequestTrialJobs"]
    with pytest.raises(ValueError, match="not JSON"):
        _told([ValueError("not JSON")], {})


def test_a_trial_that_is_to_run_again_has_not_failed() -> None:
    """Until NNI 3.0 starts it after a resume; the engine knows no such state."""
    states = ["ADD_RESUMED", "RUNNING", "FAILED"]
    binding = _TrueBinding(
        SimpleNamespace(
            list_trial_jobs=lambda: [TrialJob(state, state, 0, 0) for state in states],
            get_job_statistics=lambda: [{"trialJobStatus": state, "trialJobNumber": 1} for state in states],
        )
    )
    expected = ["WAITING", "RUNNING", "FAILED"]
    assert [job.status for job in binding.list_trial_jobs()] == expected
    assert [entry["trialJobStatus"] for entry in binding.get_job_statistics()] == expected


def test_other_engines_stay_as_they_are() -> None:
    engine = SequentialExecutionEngine()
    before = dict(vars(engine))
    mend_engine(engine)
    assert vars(engine) == before
