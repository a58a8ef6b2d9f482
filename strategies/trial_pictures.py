"""A picture of each trial's architecture, beside the trial's logs: NNI's web UI shows the choices one by one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype, GenotypeError
from hnas_nni.architecture.spaces import POSITION_LABEL

_logger = logging.getLogger("nni.hnas")

PICTURE = "cells.svg"


def draw_trial(experiment: Path, trial: str, sample: Mapping[str, Any], search_space: Mapping[str, Any]) -> Path | None:
    """Draw the cells and the network of a trial.

    Parameters
    ----------
    experiment
        Its experiment's folder.
    trial
        NNI's name of it.
    sample
        Its architecture, label -> value.
    search_space
        As nnictl's JSON has it; it tells how many blocks a network has.

    Returns
    -------
    pathlib.Path or None
        The picture; None where the trial ran on another machine, or what it ran is no architecture of ours.
    """
    folder = next(experiment.glob(f"environments/*/trials/{trial}"), None)
    if folder is None:
        return None
    try:
        genotype = Genotype.from_sample(sample)
        layers = max(search_space.get(POSITION_LABEL, {}).get("_value", ()), default=DEFAULT_LAYERS)
        from hnas_nni.report import draw_genotype

        draw_genotype(genotype, folder / PICTURE, layers=layers)
    except GenotypeError:
        return None
    except (OSError, ValueError) as error:  # the disk being full, for example: the search needs no picture
        _logger.warning("%s: no picture of it could be drawn (%s)", folder, error)
        return None
    return folder / PICTURE
