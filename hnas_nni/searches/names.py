"""Architectures by what a user calls them: the paper's, a file, a trained model, a trial of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import published

if TYPE_CHECKING:
    from hnas_nni.searches import TrialRecord
    from hnas_nni.searches.search_folder import SearchFolder

GENOTYPE_HELP = (
    "a genotype's JSON file, a model file (.safetensors), a trial as EXPERIMENT:TRIAL, one that hnas search found as "
    "RUN:RANK, or one of the paper's: HNAS-A, HNAS-B, HNAS-C"
)
_MODEL_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class NamedArchitecture:
    """An architecture, and the sizes of the network it was found in where these are known.

    Parameters
    ----------
    genotype
        The architecture.
    scale, channels, layers
        Sizes, as for :meth:`hnas_nni.Genotype.build`, or None.
    """

    genotype: Genotype
    scale: int | None = None
    channels: int | None = None
    layers: int | None = None


def read_architecture(name: str) -> NamedArchitecture:
    """Return an architecture by its name.

    Parameters
    ----------
    name
        ``HNAS-A``, ``-B`` or ``-C``; a genotype's file; a model file; ``EXPERIMENT:TRIAL``: NNI's id or the folder of
        an experiment (left out, the latest), and a trial's id, its number, or ``best``; or ``RUN:RANK``: the folder of
        a search with shared weights, and a place in its ranking, or ``best``.

    Raises
    ------
    FileNotFoundError
        If it is none of these.
    ValueError
        If the file is damaged, or there is no such experiment, trial or place.
    """
    genotype = published(name)
    if genotype is not None:
        return NamedArchitecture(genotype)
    search, colon, one = name.rpartition(":")
    if Path(name).exists():
        return _from_model(Path(name)) if name.endswith(_MODEL_SUFFIX) else NamedArchitecture(Genotype.from_json(name))
    if colon and one:
        from hnas_nni.searches.search_folder import SearchFolder

        run = SearchFolder(search)
        return _from_run(run, one) if search and run.exists else _from_trial(search or None, one)
    raise FileNotFoundError(f"{name}: no such file; give {GENOTYPE_HELP}")


def _from_model(path: Path) -> NamedArchitecture:
    from hnas_nni.network.model_header import read_header

    header = read_header(path)
    return NamedArchitecture(header.genotype, header.scale, header.channels, header.layers)


def _from_trial(experiment: str | None, name: str) -> NamedArchitecture:
    from hnas_nni.network.model_header import MODEL_FILE
    from hnas_nni.searches import ExperimentError, find_experiment, rank, read_trials

    folder = find_experiment(experiment)
    trials = read_trials(folder)
    trial = rank(trials)[0].trial if name == "best" else _find(folder.name, trials, name)
    if trial.genotype is None:
        raise ExperimentError(
            f"experiment {folder.name}: trial {name} is {trial.status.lower()} and has not reported; "
            "its architecture is known after its first report"
        )
    model = trial.folder / MODEL_FILE if trial.folder else None
    if model is not None and model.is_file():
        left = _from_model(model)
        if left.genotype == trial.genotype:
            return left
    return NamedArchitecture(trial.genotype)


def _from_run(run: SearchFolder, name: str) -> NamedArchitecture:
    from hnas_nni.output_folder import OutputFolderError

    rows = {str(row["rank"]): row for row in run.ranking()}
    row = rows.get("1" if name == "best" else name)
    if row is None:
        raise OutputFolderError(f"{run.path}: has no architecture {name}; give its rank, 1 to {len(rows)}, or best")
    settings = run.about()["settings"]
    return NamedArchitecture(row["genotype"], *(settings.get(size) for size in ("scale", "channels", "layers")))


def _find(experiment: str, trials: list[TrialRecord], name: str) -> TrialRecord:
    """Return a trial by its id or number; of trials with one number, as after a resume, the latest."""
    from hnas_nni.searches import ExperimentError

    found = [trial for trial in trials if trial.id == name] or [t for t in trials if str(t.number) == name]
    if not found:
        some = ", ".join(f"{trial.number} ({trial.id})" for trial in trials[:3])
        listed = f"there are {len(trials)}, e.g. {some}" if trials else "there is none yet"
        raise ExperimentError(f"experiment {experiment}: has no trial {name}; {listed}, or give best")
    return found[-1]
