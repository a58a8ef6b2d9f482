"""What a model file says of itself, read without loading torch or its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.peers import Peer
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.foreign_text import parse_json, shown
from hnas_nni.settings.shared import check_scale

MODEL_FILE = "model.safetensors"
"""Name under which a trial leaves its trained network in its output folder."""

FORMAT = "hnas-model"
"""The entry ``format`` of a model file's metadata; :func:`hnas_nni.network.model_file.save` writes it."""

VERSION = "1"
"""The entry ``version``."""

_SIZES = ("scale", "channels", "layers")
_READERS: Mapping[str, Callable[[Any], Architecture]] = {
    # Not Genotype.from_json, which takes other text for the name of a file.
    Genotype.kind: Genotype.from_dict,
    Peer.kind: Peer.from_dict,
}
_MOST_EMPTY_BLOCKS = 1000
"""Of blocks without weights a file does not tell how many there are, so that it can't ask for more."""


class ModelFileError(ValueError):
    """A file that is not one of our models, or is damaged; the message names it."""


@dataclass(frozen=True)
class ModelHeader:
    """The network whose weights a model file holds.

    Parameters
    ----------
    architecture
        A genotype, or a network of :mod:`hnas_nni.architecture.peers`.
    scale, channels, layers
        Sizes of the network, as for its ``build``.
    """

    architecture: Architecture
    scale: int
    channels: int
    layers: int

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a model file."""
        sizes = {name: str(getattr(self, name)) for name in _SIZES}
        return {"format": FORMAT, "version": VERSION, self.architecture.kind: self.architecture.to_json(), **sizes}


def read_header(path: str | os.PathLike[str]) -> ModelHeader:
    """Read the metadata of a model file that :func:`hnas_nni.network.model_file.save` wrote.

    The sizes are compared with those of the tensors, as far as that can be done without the network;
    :func:`hnas_nni.network.model_file.check` compares all.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged or not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such model file")
    if not Path(path).is_file():
        raise ModelFileError(f"{path}: is not a file; give that of a model")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: damaged or not a model of hnas-nni ({error})") from error
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{path}: a safetensors file, but not a model of hnas-nni")
    if (version := metadata.get("version")) != VERSION:
        raise ModelFileError(
            f"{path}: version {'none' if version is None else shown(version)[1:-1]} can't be read; update hnas-nni"
        )
    try:
        # Without either it is the first that is missing.
        kind = next((kind for kind in _READERS if kind in metadata), next(iter(_READERS)))
        architecture = _READERS[kind](parse_json(metadata[kind]))
        header = ModelHeader(architecture, *(int(metadata[name]) for name in _SIZES))
        check_scale("scale", header.scale)
        architecture.check_layers(header.layers)
        if isinstance(architecture, Genotype):
            _check_sizes(header, architecture, shapes)
    except KeyError as error:
        raise ModelFileError(f"{path}: a model of hnas-nni with a damaged header ({error} is missing)") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: a model of hnas-nni with a damaged header ({error})") from error
    return header


def _check_sizes(header: ModelHeader, genotype: Genotype, shapes: dict[str, tuple[Any, ...]]) -> None:
    for name, own in (("channels", genotype.width), ("layers", genotype.depth)):
        if own not in (None, getattr(header, name)):
            raise ValueError(f"{name} is {getattr(header, name)}, but the genotype has {own}")
    for name, shape in shapes.items():
        if 0 in shape:
            raise ValueError(f"tensor {name} has the shape {shape}, which holds nothing")
    width = (shapes.get("stem.conv.weight") or (0,))[0]
    nodes = len(PAPER.shapes["normal"].nodes) if genotype.space is PAPER else 1
    if width != nodes * header.channels:
        of = f"{nodes} C" if nodes > 1 else "C"
        raise ValueError(f"channels is {header.channels}, but the stem has {width} channels in place of {of}")
    blocks = {name.split(".")[1] for name in shapes if name.startswith("blocks.")}
    if genotype.space is not PAPER and blocks == {str(genotype.position - 1)} and header.layers <= _MOST_EMPTY_BLOCKS:
        return  # all normal blocks are without weights, as cells that only skip
    if blocks != {str(index) for index in range(min(header.layers, len(blocks) + 1))}:
        raise ValueError(f"layers is {header.layers}, but there are {len(blocks)} blocks")
