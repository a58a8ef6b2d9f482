"""Reading an experiment's trials.

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
- ``logPath`` of a trial on another machine is ``host:path``, with a ``~`` for the home folder there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hnas_nni.architecture.cells import GenotypeError
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.foreign_text import as_number, parse_json
from hnas_nni.searches.nni.database import DATABASE, ExperimentError, is_experiment, moment, query
from hnas_nni.searches.record import MeasuredArchitecture, RemoteFolder, Trial
from hnas_nni.searches.search_folder import SEARCH_FOLDER, SearchFolder
from hnas_nni.trial.parameters import LAMBDA, TrialParameters

_EVENTS = {"ADD_CUSTOMIZED": "WAITING", "ADD_RESUMED": "WAITING", "USER_TO_CANCEL": "USER_CANCELED"}
_ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


def read_trials(path: str | os.PathLike[str]) -> tuple[list[Trial], list[MeasuredArchitecture]]:
    """Read all trials of an experiment, finished or not, in the order in which they started.

    Parameters
    ----------
    path
        The experiment's folder, as :func:`hnas_nni.searches.find_experiment` returns it.

    Returns
    -------
    trials, measured
        The trials, and what those measured that have reported a final result.

    Raises
    ------
    ExperimentError
        If the folder is not that of an NNI experiment, its database can't be read, or its trials report on no
        architecture.
    """
    path = Path(path)
    if not is_experiment(path):
        raise ExperimentError(f"{path}: not the folder of an NNI experiment, which holds {DATABASE}")
    events, metrics = query(
        path,
        "SELECT timestamp, trialJobId, event, data, sequenceId, logPath, environmentId FROM TrialJobEvent "
        "WHERE trialJobId <> '' ORDER BY rowid",
        "SELECT timestamp, trialJobId, parameterId, type, sequence, data FROM MetricData ORDER BY rowid",
    )
    drafts: dict[str, _Draft] = {}
    handed_out = _HandedOut(path.name)
    for time, id, event, data, number, place, environment in events:
        drafts.setdefault(id, _Draft(id)).add_event(time, event, number)
        drafts[id].add_place(place, environment)
        if data:
            handed_out.add(time, data)
    for time, id, parameter_id, kind, sequence, data in metrics:
        if id in drafts:
            drafts[id].add_metric(kind, sequence, data)
            drafts[id].genotype, drafts[id].weight = handed_out.of(parameter_id, time)
    # Before the first report it can't be told whose trials they are: a search as a trial has its architecture then.
    if metrics and not any(draft.is_search or draft.genotype for draft in drafts.values()):
        handed_out.check()
    read = sorted((draft.finish(path) for draft in drafts.values()), key=lambda pair: _age(pair[0]))
    return [trial for trial, _ in read], [measured for _, measured in read if measured is not None]


class _HandedOut:
    """The parameters that NNI handed to trials, by their ids: architecture, and lambda of the reward."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._by_id: dict[str, list[tuple[int, Genotype | None, float | None]]] = {}
        self._knows_genotype = False
        self._problem = ""

    def add(self, time: int, data: str) -> None:
        """Add the parameters of an event."""
        parameters = _parse(data)
        genotype = None
        try:
            genotype = _genotype(parameters)
            self._knows_genotype = True
        except ValueError as error:
            self._problem = self._problem or str(error)
        if isinstance(parameters, Mapping):
            id = str(parameters.get("parameter_id"))
            self._by_id.setdefault(id, []).append((time, genotype, _weight(parameters)))

    def of(self, parameter_id: object, time: int) -> tuple[Genotype | None, float | None]:
        """Return what was last handed out by an id before a time; None where it is not known."""
        bearers = self._by_id.get(str(parameter_id), [])
        before = [bearer for bearer in bearers if bearer[0] <= time] or bearers[:1]
        return max(before, key=lambda bearer: bearer[0])[1:] if before else (None, None)

    def check(self) -> None:
        """Refuse an experiment whose parameters are no architectures."""
        if self._problem and not self._knows_genotype:
            raise ExperimentError(
                f"experiment {self._experiment}: not an HNAS search ({self._problem}); "
                "give the id or folder of a search over search_spaces/hnas_12_layers.json or one like it"
            )


def _age(trial: Trial) -> tuple[float, int]:
    """Return what sorts trials by their start, those that wait last."""
    return (trial.start.timestamp() if trial.start else math.inf, trial.number)


@dataclass
class _Draft:
    """A trial while its events are played back."""

    id: str
    number: int = -1
    status: str = "UNKNOWN"
    genotype: Genotype | None = None
    weight: float | None = None
    start: int | None = None
    end: int | None = None
    final: Any = None
    elsewhere: RemoteFolder | None = None
    intermediate: dict[int, float] = field(default_factory=dict)
    is_search: bool = False
    """Whether the trial is a whole search: it reports by epochs, and its architecture at the end."""

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

    def add_place(self, place: str | None, environment: str | None) -> None:
        """Note where the trial runs; the last place counts, where it goes on after a resume."""
        host, colon, path = (place or "").partition(":~/")
        if colon:
            self.elsewhere = RemoteFolder(host, f"~/{path}", environment or "")

    def add_metric(self, kind: str, sequence: int, data: str) -> None:
        """Add a report; the first final one counts, as for NNI, and the last in each place on the way."""
        value = _parse(data)
        if isinstance(value, str):
            value = _parse(value)
        if kind == "FINAL":
            self.final = value if self.final is None else self.final
        elif kind == "PERIODICAL":
            given = value if isinstance(value, dict) else {"default": value}
            self.is_search = self.is_search or "epoch" in given
            # A search's curve is that of its reward.
            name = "psnr" if "psnr" in given and "epoch" not in given else "default"
            shown = as_number(given.get(name))
            if shown is not None:
                self.intermediate[sequence] = shown

    def finish(self, experiment: Path) -> tuple[Trial, MeasuredArchitecture | None]:
        final = self.final if isinstance(self.final, dict) else {"default": self.final}
        folder = _trial_folder(experiment, self.id)
        search = None if folder is None else SearchFolder(folder / SEARCH_FOLDER)
        if search is not None and not search.exists:
            search = None
        trial = Trial(
            number=self.number,
            id=self.id,
            status=self.status,
            genotype=self.genotype or _found(final.get("genotype")),
            intermediate=tuple(psnr for _, psnr in sorted(self.intermediate.items())),
            start=moment(self.start),
            end=moment(self.end),
            folder=folder,
            search=None if search is None else search.path,
            elsewhere=self.elsewhere,
        )
        reward, params, stage, steps = (as_number(final.get(name)) for name in ("default", "params", "stage", "steps"))
        if trial.genotype is None or reward is None:
            return trial, None
        return trial, MeasuredArchitecture(
            genotype=trial.genotype,
            reward=reward,
            psnr=as_number(final.get("psnr")),
            gmacs=as_number(final.get("gmacs")),
            params=None if params is None else int(params),
            reward_weight=search.reward_weight if self.weight is None and search is not None else self.weight,
            trial=trial,
            stage=None if stage is None else int(stage),
            steps=None if steps is None else int(steps),
        )


def _sample(parameters: Any) -> Mapping[str, Any] | None:
    """Return what NNI handed to a trial: a sample (nnictl), or that of a model space (NAS)."""
    sample = parameters.get("parameters") if isinstance(parameters, Mapping) else None
    if isinstance(sample, Mapping) and isinstance(sample.get("sample"), Mapping):
        sample = sample["sample"]
    return sample if isinstance(sample, Mapping) else None


def _genotype(parameters: Any) -> Genotype:
    sample = _sample(parameters)
    if sample is None:
        raise GenotypeError("its parameters can't be read")
    return TrialParameters.from_nni(sample).genotype


def _weight(parameters: Any) -> float | None:
    """Read lambda, where a tuner or a search space decides it."""
    sample = _sample(parameters)
    return None if sample is None else as_number(sample.get(LAMBDA))


def _found(text: Any) -> Genotype | None:
    """Read the architecture that a trial reports to have found."""
    try:
        return Genotype.from_string(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except (TypeError, ValueError):
        return None


def _trial_folder(experiment: Path, trial: str) -> Path | None:
    """Find a trial's folder; the training service decides where it lies."""
    places = [*experiment.glob(f"environments/*/trials/{trial}"), experiment / "trials" / trial]
    return next((place for place in places if place.is_dir()), None)
