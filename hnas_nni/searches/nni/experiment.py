"""An NNI experiment as a search: its trials, and the ranking of what they measured."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.network.model_header import MODEL_FILE, read_header
from hnas_nni.searches.history import SearchHistory
from hnas_nni.searches.nni.database import ExperimentError
from hnas_nni.searches.nni.history import is_running, read_nni_history
from hnas_nni.searches.nni.machines import fetch_model
from hnas_nni.searches.nni.manager_log import why_it_ended
from hnas_nni.searches.nni.reading import read_trials
from hnas_nni.searches.record import MeasuredArchitecture, Trial, count_states, states_in_words
from hnas_nni.searches.run import SearchRun


def read_experiment(path: str | os.PathLike[str]) -> Experiment:
    """Read an experiment as it is now.

    Parameters
    ----------
    path
        Its folder, as :func:`hnas_nni.searches.find_experiment` returns it.

    Raises
    ------
    ExperimentError
        If the folder is not that of an NNI experiment, its database can't be read, or no trial is one of ours.
    """
    trials, measured = read_trials(path)
    return Experiment(Path(path), tuple(trials), tuple(measured))


@dataclass(frozen=True)
class Experiment:
    """An NNI experiment as it was when it was read, as a :class:`hnas_nni.searches.Search`.

    What is not there is an :class:`ExperimentError`.

    Parameters
    ----------
    path
        Its folder.
    trials
        All trials, in the order in which they started.
    measured
        Their final results, in the same order, also of trials that were still to end or failed afterwards.
    """

    path: Path
    trials: tuple[Trial, ...] = ()
    measured: tuple[MeasuredArchitecture, ...] = ()

    @property
    def title(self) -> str:
        """The experiment's id, its trials by their states, and the error that ended it."""
        noun = "trial" if len(self.trials) == 1 else "trials"
        states = states_in_words(self.trials, self._running)
        end = why_it_ended(self.path, self.trials)
        error = "" if end is None else f"; ended with an error: {'; '.join(end)}"
        return f"experiment {self.path.name} ({len(self.trials)} {noun}: {states}{error})"

    def to_dict(self) -> dict[str, object]:
        """Return what it is as a JSON document."""
        trials = dict(count_states(self.trials, self._running))
        return {"experiment": self.path.name, "folder": str(self.path), "trials": trials}

    @cached_property
    def _running(self) -> bool:
        return is_running(self.path)

    @cached_property
    def finished(self) -> tuple[MeasuredArchitecture, ...]:
        """What trials measured that succeeded, with a finite reward."""
        return tuple(
            entry
            for entry in self.measured
            if entry.trial and entry.trial.status == "SUCCEEDED" and math.isfinite(entry.reward)
        )

    @property
    def reward_weights(self) -> list[float]:
        """The values of lambda that finished trials had; rewards compare at the same one only."""
        return sorted({entry.reward_weight for entry in self.finished if entry.reward_weight is not None})

    def ranking(self, reward_weight: float | None = None) -> list[MeasuredArchitecture]:
        """Return the architectures of finished trials by reward, the best first, each once with its best trial.

        What has come to a later stage of successive halving comes before all that has not: the stages' rewards can't be
        compared. Of equal rewards the earlier trial comes first; with a `reward_weight` only trials of this lambda
        count.
        """
        if not self.finished:
            raise ExperimentError(_why_nothing_finished(self.trials, self.path, self._running))
        kept = [entry for entry in self.finished if reward_weight in (None, entry.reward_weight)]
        if not kept:
            known = ", ".join(f"{weight:g}" for weight in self.reward_weights) or "not known"
            raise ExperimentError(f"--lambda: no finished trial has {reward_weight:g}; theirs are {known}")
        kept.sort(key=lambda entry: (*_worse(entry), entry.step or 0))
        times = Counter(entry.genotype for entry in kept)
        best: dict[Genotype, MeasuredArchitecture] = {}
        for entry in kept:
            best.setdefault(entry.genotype, entry)
        return [
            replace(entry, rank=rank, evaluated=times[genotype])
            for rank, (genotype, entry) in enumerate(best.items(), start=1)
        ]

    def find(self, name: str) -> tuple[Genotype, dict[str, int]]:
        """Return the architecture of a trial by its id or number, or the ``best``, and its network's sizes if known."""
        trial = self.ranking()[0].trial if name == "best" else self._trial(name)
        assert trial is not None  # all that an experiment ranks comes from trials
        if trial.genotype is None:
            raise ExperimentError(
                f"experiment {self.path.name}: trial {name} is {trial.status.lower()} and has not reported; "
                "its architecture is known after its first report"
            )
        model = _model_of(trial)
        if model is None:
            return trial.genotype, {}
        header = read_header(model)
        return trial.genotype, {"scale": header.scale, "channels": header.channels, "layers": header.layers}

    def model_file(self, architecture: MeasuredArchitecture) -> Path:
        """Return the model file of the best trial of an architecture that has left it, fetched if need be."""
        trial = architecture.trial
        if trial is not None and trial.search is not None:
            return SearchRun(trial.search).model_file(architecture)
        same = [entry for entry in self.finished if entry.genotype == architecture.genotype]
        for entry in sorted(same, key=_worse):
            assert entry.trial is not None  # all that an experiment measures comes from trials
            if (model := _model_of(entry.trial)) is not None:
                return model
            if entry.trial.elsewhere is not None:
                model = fetch_model(self.path, entry.trial)
                if read_header(model).architecture == entry.genotype:
                    return model
        raise ExperimentError(f"{self.path}: no trial of the winner has left its {MODEL_FILE}")

    def history(self) -> SearchHistory:
        """Return what a report tells of it."""
        ranking = self.ranking() if self.finished else []
        return read_nni_history(self.path, self.trials, self.finished, ranking)

    def _trial(self, name: str) -> Trial:
        """Return a trial by its id or number; of trials with one number, as after a resume, the latest."""
        trials = self.trials
        found = [trial for trial in trials if trial.id == name] or [t for t in trials if str(t.number) == name]
        if not found:
            some = ", ".join(f"{trial.number} ({trial.id})" for trial in trials[:3])
            listed = f"there are {len(trials)}, e.g. {some}" if trials else "there is none yet"
            raise ExperimentError(f"experiment {self.path.name}: has no trial {name}; {listed}, or give best")
        return found[-1]


def _worse(entry: MeasuredArchitecture) -> tuple[int, float]:
    """Return what is the less the better a result is."""
    return -(entry.stage or 0), -entry.reward


def _model_of(trial: Trial) -> Path | None:
    """Return the model file that a trial has left of its architecture."""
    model = None if trial.folder is None else trial.folder / MODEL_FILE
    return (
        model if model is not None and model.is_file() and read_header(model).architecture == trial.genotype else None
    )


def _without_place(reason: str) -> str:
    """Return why a search gave up without where to look, which is said anyway."""
    return reason.partition("; see ")[0]


def _why_nothing_finished(trials: Sequence[Trial], folder: Path, running: bool) -> str:
    end = why_it_ended(folder, trials)
    if not trials and end is not None:
        return f"experiment {folder.name} ended before its first trial: {end[0]}; {end[1]}"
    if not trials and running:
        return "no trial has started yet; wait until the search has finished some, or see `nnictl log stderr`"
    if not trials:
        return f"no trial has started yet; the experiment has stopped; `nnictl resume {folder.name}` goes on"
    states = states_in_words(trials, running)
    logs = (trial.folder / "trial.stderr" for trial in trials if trial.status == "FAILED" and trial.folder)
    log = next((log for log in logs if log.is_file()), None)
    if running:
        advice = f"see {log}" if log else "wait until one has"
    else:
        died = "the experiment has stopped" if end is None else f"the experiment has ended: {_without_place(end[0])}"
        advice = f"{died}; {f'see {log}' if log else f'`nnictl resume {folder.name}` goes on'}"
    return f"no trial has finished with a result ({states}); {advice}"
