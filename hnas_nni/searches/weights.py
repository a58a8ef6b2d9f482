"""Taking trained weights out of experiments and searches."""

from __future__ import annotations

import os
from pathlib import Path

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.network.model_file import load, save
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.output_folder import OutputFolderError
from hnas_nni.searches import ExperimentError, read_trials
from hnas_nni.searches.search_folder import WINNER_WEIGHTS, SearchFolder


def export_weights(experiment: Path, genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Write the network of an experiment's best trial of a genotype, with the weights whose PSNR was measured.

    Parameters
    ----------
    experiment
        The experiment's folder.
    genotype
        The architecture, e.g. that of the winner.
    path
        The safetensors file to write; :func:`hnas_nni.network.model_file.load` reads it.

    Raises
    ------
    ExperimentError
        If no trial of the genotype has left its weights on this machine.
    """
    trials = [trial for trial in read_trials(experiment) if trial.finished and trial.genotype == genotype]
    for trial in sorted(trials, key=lambda trial: trial.reward or 0.0, reverse=True):
        for model in experiment.glob(f"environments/*/trials/{trial.id}/{MODEL_FILE}"):
            network = load(model)
            if network.genotype == genotype:
                save(network, path)
                return
    raise ExperimentError(
        f"{experiment}: no trial of the winner has left its {MODEL_FILE} here; "
        "if the trials ran on another machine, copy it from there"
    )


def export_search_weights(run: SearchFolder, path: str | os.PathLike[str]) -> None:
    """Write the network of the winner of a weight-sharing search, with the shared weights.

    Parameters
    ----------
    run
        The search's folder.
    path
        The safetensors file to write; :func:`hnas_nni.network.model_file.load` reads it.

    Raises
    ------
    OutputFolderError
        If the search has not left one.
    """
    weights = run.path / WINNER_WEIGHTS
    if not weights.is_file():
        raise OutputFolderError(
            f"--weights: {run.path} has no {WINNER_WEIGHTS}; it is there once a search has come to its end"
        )
    save(load(weights), path)
