"""Weights as their authors released them, as networks of ours."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from hnas_nni.architecture.peers import Peer
from hnas_nni.foreign_text import parse_json, read_text
from hnas_nni.network.model_file import misfit, shapes_of
from hnas_nni.peers.base import PeerNetwork

_PARALLEL = "module."
"""What torch's DataParallel puts before the names."""

_MOST_TIMES = 4
"""So many times the network's own bytes a file may hold: of 64 bits, with tensors that are not read."""


class WeightsError(ValueError):
    """Weights that can't be read, or are not of the network; the message names the file and the first tensor."""


def read_released(
    peer: Peer,
    path: str | os.PathLike[str],
    scale: int = 2,
    channels: int | None = None,
    layers: int | None = None,
) -> PeerNetwork:
    """Build a network with the weights that its authors released.

    Parameters
    ----------
    peer
        The network.
    path
        Arrays by the names of the release: ``.npz``, ``.safetensors``, or a state dict of torch (``.pt``, ``.pth``). Of
        a TensorFlow graph the constants in a ``.json`` of the same name are read too. No code of a file is executed.
    scale, channels, layers
        As for :meth:`hnas_nni.architecture.peers.Peer.build`, which raises the same.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    WeightsError
        If the file is damaged or of another kind, or its tensors are not the network's.
    """
    network = cast(PeerNetwork, peer.build(scale, channels, layers))
    own = network.state_dict()
    most = _MOST_TIMES * sum(tensor.nbytes for tensor in own.values()) + 2**20
    tensors = {
        name.removeprefix(_PARALLEL): tensor
        for name, tensor in _read(Path(path), most).items()
        if not name.removeprefix(_PARALLEL).startswith(network.not_read)
    }
    released = network.released_tensors()
    expected = {}
    for name, place in released.items():
        shape = dict(zip(place.axes, own[place.name].shape, strict=True))
        expected[name] = tuple(shape[axis] for axis in range(len(place.axes)))
    problem = misfit(shapes_of(tensors), expected)
    if problem:
        raise WeightsError(f"{path}: not the weights of {peer} x{scale}: {problem}")
    network.load_state_dict({place.name: tensors[name].permute(place.axes) for name, place in released.items()})
    return network.eval()


def _read(path: Path, most: int) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_size(sum(member.file_size for member in archive.infolist()), most)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                tensors = {name: torch.from_numpy(arrays[name]).float() for name in arrays}
            return tensors | _biases_of_graph(path.with_suffix(".json"))
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in (".pt", ".pth"):
            state = torch.load(path, map_location="cpu", weights_only=True)
            # A view may be larger than its data.
            _check_size(4 * sum(tensor.numel() for tensor in state.values()), most)
            return {str(name): tensor.float() for name, tensor in state.items()}
    except (
        OSError,
        ValueError,
        KeyError,
        MemoryError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise WeightsError(f"{path}: can't be read ({' '.join(str(error).split())[:200]})") from error
    raise WeightsError(f"{path}: not a kind that can be read; give .npz, .safetensors, .pt or .pth")


def _check_size(found: int, most: int) -> None:
    if found > most:
        raise ValueError(f"holds {found} bytes, and the network takes {most} at most")


def _biases_of_graph(path: Path) -> dict[str, torch.Tensor]:
    """Return the biases that a graph has among its operations and not among its arrays, by the names arrays have."""
    if not path.is_file():
        return {}
    biases = {}
    for operation in parse_json(read_text(path))["operations"]:
        name, _, kind = operation["name"].rpartition("/")
        if (
            name
            and kind == "BiasAdd"
            and isinstance(operation["inputs"][1], dict)
            and "value" in operation["inputs"][1]
        ):
            biases[f"{name}/bias"] = torch.tensor(operation["inputs"][1]["value"])
    return biases
