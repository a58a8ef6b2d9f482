"""Reading NNI experiments from disk, with or without a running manager.

NNI keeps a list of experiments in ``~/nni-experiments/.experiment`` (JSON, wherever the experiments lie) and
each experiment in ``<working directory>/<id>``, with all events and metrics in the SQLite database
``db/nni.sqlite``. The database is opened for reading only, so an experiment can be read while it runs.

Seen with NNI 3.0:

- NNI hands parameters to trials in the order in which they ask for them, but stores them with the trials it
  meant them for (``V3asV1`` in ``training_service/v3/compat.js``). With two trials at a time, or after a
  trial that died before it asked, the web UI, ``nnictl experiment export`` and the data of a resume can show
  results beside the wrong parameters. What is right is the parameter id that comes with a trial's metrics,
  and that is what is read here.
- After ``nnictl resume`` trial numbers and parameter ids start again from 1 if no trial was running, and a
  trial that runs again reports again.
- A trial has no row of its own; its state is what its events, in the order of their row ids, add up to.
- Metrics are JSON text that was dumped as JSON once more, stored in any order; ``sequence`` counts those of a
  trial.
- Data imported with ``nnictl experiment import`` is an event without a trial's id.
- A manager that is killed leaves the last state of its trials, e.g. RUNNING, in the database.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from hnas_nni.genotype import Genotype, GenotypeError
from hnas_nni.parameters import TrialParameters
from hnas_nni.run_folder import SEARCH_FOLDER, RunFolder

_DATABASE = Path("db") / "nni.sqlite"
_LIST_READS, _LIST_PAUSE = 10, 0.05
"""NNI rewrites its list in place: for an instant it is empty or torn, so it is read again after so many seconds."""
_SEARCH_TRIAL = "strategies.search.trial"
"""Command of trials that are whole searches; before their first report nothing else tells them."""
_EVENTS = {"ADD_CUSTOMIZED": "WAITING", "ADD_RESUMED": "WAITING", "USER_TO_CANCEL": "USER_CANCELED"}
_ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


class ExperimentError(ValueError):
    """An experiment that is not there, can't be read or is none of ours; the message says what to do."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial of an experiment.

    Parameters
    ----------
    number
        Counts the trials from 0 ("Trial No." of the web UI). NNI reuses numbers after a resume, but not ids.
    id
        NNI's name of the trial.
    status
        WAITING, RUNNING, SUCCEEDED, FAILED, USER_CANCELED, SYS_CANCELED or EARLY_STOPPED.
    genotype
        The architecture that was evaluated, or None before the trial's first report, as nothing else tells
        it.
    reward
        The final metric, which NNI optimises; None until it is reported.
    psnr
        PSNR on Y in dB, or None if the trial did not report it.
    gmacs
        Multiply-adds in 10^9 at a 3x480x480 input, or None.
    params
        Number of parameters, or None.
    intermediate
        The intermediate results in the order of the trial's reports: PSNR in dB, or the reward after each epoch of a
        trial that is a whole search.
    start, end
        When the trial started and ended, in UTC; None if it did not.
    folder
        Where the trial ran and left its files, or None if it lies on another machine or was removed.
    """

    number: int
    id: str
    status: str
    genotype: Genotype | None = None
    reward: float | None = None
    psnr: float | None = None
    gmacs: float | None = None
    params: int | None = None
    intermediate: tuple[float, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    folder: Path | None = None

    @property
    def search(self) -> RunFolder | None:
        """What a trial that is a whole search (:mod:`strategies.search.trial`) left; None of any other trial."""
        if self.folder is None:
            return None
        run = RunFolder(self.folder / SEARCH_FOLDER)
        return run if run.exists else None

    @property
    def finished(self) -> bool:
        """Whether the trial succeeded with a finite reward for a known architecture."""
        return (
            self.status == "SUCCEEDED"
            and self.genotype is not None
            and self.reward is not None
            and math.isfinite(self.reward)
        )


@dataclass(frozen=True)
class RankedGenotype:
    """An architecture of an experiment with its best trial.

    Parameters
    ----------
    genotype
        The architecture.
    trial
        The trial of this architecture with the highest reward.
    trials
        How many finished trials evaluated it.
    """

    genotype: Genotype
    trial: TrialRecord
    trials: int


def find_experiment(
    experiment: str | os.PathLike[str] | None = None, working_directory: str | os.PathLike[str] | None = None
) -> Path:
    """Return the folder of an experiment.

    Parameters
    ----------
    experiment
        NNI's id of the experiment, its folder, a folder of experiments (the latest is taken), or None for the
        latest.
    working_directory
        `experimentWorkingDirectory` of the experiment's configuration; None looks in NNI's list of
        experiments.

    Raises
    ------
    ExperimentError
        If there is no such experiment, or none at all.
    FileNotFoundError
        If `working_directory` does not exist.
    """
    if working_directory is not None and not Path(working_directory).is_dir():
        raise FileNotFoundError(
            f"{working_directory}: no such folder; give the experimentWorkingDirectory of the search"
        )
    if experiment is None:
        return _latest(_known(working_directory), working_directory)
    if Path(experiment).is_dir():
        if _is_experiment(Path(experiment)):
            return Path(experiment).resolve()
        return _latest(_known(experiment), experiment)
    known = _known(working_directory)
    path = known.get(str(experiment))
    if path is None:
        listed = ", ".join(_newest_first(known)[:5])
        listed = f"known are {listed}" if listed else "none is known"
        raise ExperimentError(
            f"experiment {experiment}: not found in {_place(working_directory)} ({listed}); "
            "give an id that `nnictl experiment list --all` shows, or the experiment's folder"
        )
    if not _is_experiment(path):
        raise ExperimentError(
            f"experiment {experiment}: its database {path / _DATABASE} is gone; if the experiment was moved, "
            "give its folder instead of its id"
        )
    return path


def read_trials(path: str | os.PathLike[str]) -> list[TrialRecord]:
    """Read all trials of an experiment, finished or not, in the order in which they started.

    Parameters
    ----------
    path
        The experiment's folder, as :func:`find_experiment` returns it.

    Raises
    ------
    ExperimentError
        If the folder is not that of an NNI experiment, its database can't be read, or no trial is one of
        ours.
    """
    path = Path(path)
    if not _is_experiment(path):
        raise ExperimentError(f"{path}: not the folder of an NNI experiment, which holds {_DATABASE}")
    profiles, events, metrics = _query(
        path,
        "SELECT params FROM ExperimentProfile ORDER BY rowid",
        "SELECT timestamp, trialJobId, event, data, sequenceId FROM TrialJobEvent "
        "WHERE trialJobId <> '' ORDER BY rowid",
        "SELECT timestamp, trialJobId, parameterId, type, sequence, data FROM MetricData ORDER BY rowid",
    )
    drafts: dict[str, _Draft] = {}
    handed_out = _HandedOut(path.name)
    for time, id, event, data, number in events:
        drafts.setdefault(id, _Draft(id)).add_event(time, event, number)
        if data:
            handed_out.add(time, data)
    for time, id, parameter_id, kind, sequence, data in metrics:
        if id in drafts:
            drafts[id].add_metric(kind, sequence, data)
            drafts[id].genotype = handed_out.genotype(parameter_id, time)
    runs_searches = any(_SEARCH_TRIAL in (params or "") for (params,) in profiles)
    if not runs_searches and not any(draft.is_search or draft.genotype for draft in drafts.values()):
        handed_out.check()
    return sorted((draft.finish(path) for draft in drafts.values()), key=_age)


def rank(trials: Iterable[TrialRecord]) -> list[RankedGenotype]:
    """Return the architectures of finished trials by reward, the best first, each once.

    Of equal rewards the earlier trial comes first.

    Raises
    ------
    ExperimentError
        If no trial is finished.
    """
    trials = list(trials)
    ordered = sorted(
        (trial for trial in trials if trial.finished),
        key=lambda trial: (-(trial.reward or 0.0), trial.number),
    )
    if not ordered:
        raise ExperimentError(_why_nothing_finished(trials))
    times = Counter(trial.genotype for trial in ordered)
    best: dict[Genotype, TrialRecord] = {}
    for trial in ordered:
        assert trial.genotype is not None
        best.setdefault(trial.genotype, trial)
    return [RankedGenotype(genotype, trial, times[genotype]) for genotype, trial in best.items()]


class _HandedOut:
    """The parameters that NNI handed to trials, by their ids."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._by_id: dict[str, list[tuple[int, Genotype]]] = {}
        self._problem = ""

    def add(self, time: int, data: str) -> None:
        """Add the parameters of an event."""
        parameters = _parse(data)
        try:
            genotype = _genotype(parameters)
        except ValueError as error:
            self._problem = self._problem or str(error)
        else:
            self._by_id.setdefault(str(parameters.get("parameter_id")), []).append((time, genotype))

    def genotype(self, parameter_id: object, time: int) -> Genotype | None:
        """Return the last architecture that got an id before a time, or None if there is none."""
        bearers = self._by_id.get(str(parameter_id), [])
        before = [bearer for bearer in bearers if bearer[0] <= time] or bearers[:1]
        return max(before, key=lambda bearer: bearer[0])[1] if before else None

    def check(self) -> None:
        """Refuse an experiment whose parameters are no architectures."""
        if self._problem and not self._by_id:
            raise ExperimentError(
                f"experiment {self._experiment}: not an HNAS search ({self._problem}); "
                "give the id or folder of a search over search_spaces/hnas_x2.json or one like it"
            )


def _age(trial: TrialRecord) -> tuple[float, int]:
    """Return what sorts trials by their start, those that wait last."""
    return (trial.start.timestamp() if trial.start else math.inf, trial.number)


@dataclass
class _Draft:
    """A trial while its events are played back."""

    id: str
    number: int = -1
    status: str = "UNKNOWN"
    genotype: Genotype | None = None
    start: int | None = None
    end: int | None = None
    final: Any = None
    intermediate: dict[int, float] = field(default_factory=dict)
    is_search: bool = False
    """Whether the trial is a whole search (:mod:`strategies.search.trial`), which reports by epochs."""

    def add_event(self, time: int, event: str, number: int | None) -> None:
        """Play one event back, as NNI's own data store does."""
        event = _EVENTS.get(event, event)
        if event != "ADD_HYPERPARAMETER":
            self.status = event
        if event == "RUNNING" or (event == "WAITING" and self.start is None):
            self.start, self.end = time, None
        elif event in _ENDED:
            self.end = time
        if number is not None and self.number < 0:
            self.number = number

    def add_metric(self, kind: str, sequence: int, data: str) -> None:
        """Add a report; the first final one counts, as for NNI, and the last in each place on the way."""
        value = _parse(data)
        if isinstance(value, str):
            value = _parse(value)
        if kind == "FINAL":
            self.final = value if self.final is None else self.final
        elif kind == "PERIODICAL":
            self.is_search = self.is_search or (isinstance(value, dict) and "epoch" in value)
            psnr = _number(value.get("default") if isinstance(value, dict) else value)
            if psnr is not None:
                self.intermediate[sequence] = psnr

    def finish(self, experiment: Path) -> TrialRecord:
        final = self.final if isinstance(self.final, dict) else {"default": self.final}
        params = _number(final.get("params"))
        return TrialRecord(
            number=self.number,
            id=self.id,
            status=self.status,
            genotype=self.genotype or _found(final.get("genotype")),
            reward=_number(final.get("default")),
            psnr=_number(final.get("psnr")),
            gmacs=_number(final.get("gmacs")),
            params=None if params is None else int(params),
            intermediate=tuple(psnr for _, psnr in sorted(self.intermediate.items())),
            start=_utc(self.start),
            end=_utc(self.end),
            folder=_trial_folder(experiment, self.id),
        )


def _genotype(parameters: Any) -> Genotype:
    """Read what NNI handed to a trial: a sample (nnictl), or a model space that holds one (NAS)."""
    if not isinstance(parameters, Mapping) or not isinstance(parameters.get("parameters"), Mapping):
        raise GenotypeError("its parameters can't be read")
    sample = parameters["parameters"]
    if isinstance(sample.get("sample"), Mapping):
        sample = sample["sample"]
    return TrialParameters.from_nni(sample).genotype


def _found(text: Any) -> Genotype | None:
    """Read the architecture that a trial reports to have found."""
    try:
        return Genotype.from_string(text) if isinstance(text, str) else None
    except GenotypeError:
        return None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _utc(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc)


def _trial_folder(experiment: Path, trial: str) -> Path | None:
    """Find a trial's folder; the training service decides where it lies."""
    places = [*experiment.glob(f"environments/*/trials/{trial}"), experiment / "trials" / trial]
    return next((place for place in places if place.is_dir()), None)


def _is_experiment(path: Path) -> bool:
    return (path / _DATABASE).is_file()


def _query(path: Path, *statements: str) -> list[list[tuple[Any, ...]]]:
    """Return the rows of some queries to an experiment's database, all of one moment."""
    file = (path / _DATABASE).resolve()
    try:
        try:
            return _fetch(f"{file.as_uri()}?mode=ro", statements)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
        # A manager was killed while it wrote. SQLite undoes what it left behind, in a copy here.
        with TemporaryDirectory() as folder:
            for part in file.parent.glob(f"{file.name}*"):
                shutil.copy(part, folder)
            return _fetch((Path(folder) / file.name).as_uri(), statements)
    except sqlite3.DatabaseError as error:
        raise ExperimentError(f"{file}: can't be read as the database of an NNI experiment ({error})") from error


def _fetch(uri: str, statements: Iterable[str]) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")
        return [database.execute(statement).fetchall() for statement in statements]


def _home() -> Path:
    """Return where NNI keeps its list of experiments and, unless configured otherwise, the experiments."""
    return Path.home() / "nni-experiments"


def _place(working_directory: str | os.PathLike[str] | None) -> str:
    return str(_home() if working_directory is None else working_directory)


def _known(working_directory: str | os.PathLike[str] | None) -> dict[str, Path]:
    """Return the folders of experiments by id: those in a working directory, or those that NNI knows of."""
    known = {}
    if working_directory is None:
        working_directory = _home()
        for id, entry in _listed().items():
            known[id] = Path(entry.get("logDir") or _home()) / id
    if Path(working_directory).is_dir():
        for path in Path(working_directory).iterdir():
            if _is_experiment(path) and not path.is_symlink():
                known.setdefault(path.name, path.resolve())
    return known


def _listed() -> dict[str, dict[str, Any]]:
    file = _home() / ".experiment"
    if not file.exists():
        return {}
    for _ in range(_LIST_READS):
        entries = _parse(file.read_text(encoding="utf-8", errors="replace"))
        if isinstance(entries, dict):
            return {id: entry for id, entry in entries.items() if isinstance(entry, dict)}
        sleep(_LIST_PAUSE)
    raise ExperimentError(f"{file}: NNI's list of experiments is damaged; give the experiment's folder instead")


def _latest(known: Mapping[str, Path], place: str | os.PathLike[str] | None) -> Path:
    existing = {id: path for id, path in known.items() if _is_experiment(path)}
    if not existing:
        raise ExperimentError(
            f"{_place(place)}: no NNI experiment here; start one with `nnictl create --config config.yml`, "
            "or give an experiment's id or folder"
        )
    return existing[_newest_first(existing)[0]]


def _newest_first(known: Mapping[str, Path]) -> list[str]:
    return sorted(known, key=lambda id: (_started(known[id]), id), reverse=True)


def _started(path: Path) -> int:
    """Return when an experiment started, in milliseconds; 0 if it is not known."""
    if not _is_experiment(path):
        return 0
    try:
        (((time,),),) = _query(path, "SELECT MAX(startTime) FROM ExperimentProfile")
    except ExperimentError:
        return 0
    return time or 0


def _why_nothing_finished(trials: list[TrialRecord]) -> str:
    if not trials:
        return "no trial has started yet; wait until the search has finished some, or see `nnictl log stderr`"
    states = ", ".join(f"{number} {status}" for status, number in Counter(t.status for t in trials).items())
    logs = (trial.folder / "trial.stderr" for trial in trials if trial.status == "FAILED" and trial.folder)
    log = next((log for log in logs if log.is_file()), None)
    return f"no trial has finished with a result ({states}); {f'see {log}' if log else 'wait until one has'}"
