"""What a model file says of itself, read without loading torch or its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hnas_nni.genotype import Genotype

FORMAT = "hnas-model"
"""The entry ``format`` of a model file's metadata; :func:`hnas_nni.model_file.save` writes it."""


@dataclass(frozen=True)
class ModelHeader:
    """The network whose weights a model file holds.

    Parameters
    ----------
    genotype
        The architecture.
    scale, channels, layers
        Sizes of the network, as for :meth:`hnas_nni.Genotype.build`.
    """

    genotype: Genotype
    scale: int
    channels: int
    layers: int


def read_header(path: str | os.PathLike[str]) -> ModelHeader:
    """Read the metadata of a model file that :func:`hnas_nni.model_file.save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or not one of ours; the message names it.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or not a safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: a safetensors file, but not a model of hnas-nni")
    try:
        genotype = Genotype.from_json(metadata["genotype"])
        scale, channels, layers = (int(metadata[name]) for name in ("scale", "channels", "layers"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: a model of hnas-nni with a damaged header ({error})") from error
    return ModelHeader(genotype, scale, channels, layers)
