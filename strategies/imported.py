"""Finished trials that NNI tells a tuner of: its own before a resume, and those of ``nnictl experiment import``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hnas_nni.architecture.cells import is_int
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.foreign_text import cut, parse_json, shown
from hnas_nni.trial.parameters import OF_TUNER, STAGE
from strategies.layout import SpaceLayout


class ImportedResult(NamedTuple):
    """A finished trial.

    Parameters
    ----------
    sample
        Its architecture, label -> value, as the search space has it.
    value
        Its final metric.
    stage
        Of successive halving, from 1; None where it is of no such search.
    """

    sample: dict[str, Any]
    value: Any
    stage: int | None


def read_record(record: Any, layout: SpaceLayout) -> ImportedResult:
    """Read a record of a file that ``nnictl experiment export`` wrote, or that somebody else did.

    NNI 3.0 pairs results with the parameters of other trials as soon as two run at a time (``V3asV1`` hands parameters
    out in the order trials ask for them, but stores them with the trials they were meant for), so the architecture is
    read from the result where our trial has put it. What a tuner adds to an architecture, as lambda, does not matter.

    Parameters
    ----------
    record
        An object with "parameter" and "value".
    layout
        Of the space that is searched.

    Raises
    ------
    ValueError
        If it is none of this space; the message, a line, says why.
    """
    try:
        return _read(record, layout)
    except ValueError as error:
        raise ValueError(cut(str(error))) from error
    except Exception as error:  # whatever a file of somebody's holds: an error would end NNI's dispatcher
        raise ValueError(cut(f"{type(error).__name__}: {error}")) from error


def _read(record: Any, layout: SpaceLayout) -> ImportedResult:
    if not isinstance(record, Mapping) or not {"parameter", "value"} <= set(record):
        raise ValueError(f"{shown(record)} is no object with parameter and value")
    parameters, value = record["parameter"], record["value"]
    if isinstance(parameters, str):
        parameters = parse_json(parameters)
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameter: {shown(parameters)} is no object with the choices by their labels")
    sample = {label: choice for label, choice in parameters.items() if label not in OF_TUNER}
    stage = parameters.get(STAGE)
    if isinstance(value, Mapping) and "genotype" in value:
        sample |= Genotype.from_string(value["genotype"]).to_sample()
        stage = value.get(STAGE, stage)
    if stage is not None and (not is_int(stage) or stage < 1):
        raise ValueError(f"{STAGE}: {shown(stage)} is not an integer of at least 1")
    return ImportedResult(layout.decode(layout.encode(sample)), value, stage)
