"""Finding an NNI experiment's folder.

NNI keeps a list of experiments in ``~/nni-experiments/.experiment`` (JSON, wherever the experiments lie) and
each experiment in ``<working directory>/<id>``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from time import sleep
from typing import Any

from hnas_nni.foreign_text import parse_json
from hnas_nni.searches.nni.database import DATABASE, ExperimentError, is_experiment, query

_LIST_READS, _LIST_PAUSE = 10, 0.05
"""NNI rewrites its list in place: for an instant it is empty or torn, so it is read again after so many seconds."""


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
    OSError
        If `working_directory`, or a folder that was given for the experiment, does not exist or is a file.
    """
    if working_directory is not None and not Path(working_directory).is_dir():
        raise FileNotFoundError(
            f"{working_directory}: no such folder; give the experimentWorkingDirectory of the search"
        )
    if experiment is None:
        return _latest(_known(working_directory), working_directory)
    if Path(experiment).is_dir():
        if is_experiment(Path(experiment)):
            return Path(os.path.realpath(experiment))
        return _latest(_known(experiment), experiment)
    known = _known(working_directory)
    path = known.get(str(experiment))
    if path is None:
        _refuse_path(experiment)
        listed = ", ".join(_newest_first(known)[:5])
        listed = f"known are {listed}" if listed else "none is known"
        raise ExperimentError(
            f"experiment {experiment}: not found in {_place(working_directory)} ({listed}); "
            "give an id that `nnictl experiment list --all` shows, or the experiment's folder"
        )
    if not is_experiment(path):
        raise ExperimentError(
            f"experiment {experiment}: its database {path / DATABASE} is gone; if the experiment was moved, "
            "give its folder instead of its id"
        )
    return path


def _refuse_path(experiment: str | os.PathLike[str]) -> None:
    """Raise an OSError if what was given for an experiment can only be a path."""
    if Path(experiment).is_file():
        raise NotADirectoryError(f"{experiment}: is a file; give the folder of a search, or an experiment's id")
    if Path(experiment).name != str(experiment):
        raise FileNotFoundError(f"{experiment}: no such folder; give the folder of a search, or an experiment's id")


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
            if is_experiment(path) and not path.is_symlink():
                known.setdefault(path.name, Path(os.path.realpath(path)))
    return known


def _listed() -> dict[str, dict[str, Any]]:
    file = _home() / ".experiment"
    if not file.exists():
        return {}
    for _ in range(_LIST_READS):
        entries = _json(file.read_text(encoding="utf-8", errors="replace"))
        if isinstance(entries, dict):
            return {id: entry for id, entry in entries.items() if isinstance(entry, dict)}
        sleep(_LIST_PAUSE)
    raise ExperimentError(f"{file}: NNI's list of experiments is damaged; give the experiment's folder instead")


def _latest(known: Mapping[str, Path], place: str | os.PathLike[str] | None) -> Path:
    existing = {id: path for id, path in known.items() if is_experiment(path)}
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
    if not is_experiment(path):
        return 0
    try:
        (((time,),),) = query(path, "SELECT MAX(startTime) FROM ExperimentProfile")
    except ExperimentError:
        return 0
    return time or 0


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None
