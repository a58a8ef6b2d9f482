"""Trained networks as files: safetensors with the architecture inside, so that the file alone is enough to load it."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import safe_open

from hnas_nni.files import replacing
from hnas_nni.network.model_header import ModelFileError, ModelHeader, read_header
from hnas_nni.network.over_parameterised import collapse
from hnas_nni.network.weights_file import weights_file
from hnas_nni.network.wrappers import plain_network

__all__ = ["ModelFileError", "check", "load", "save"]

_FLOATS = ("F16", "BF16", "F32", "F64")
"""What safetensors calls the types that weights may have."""


def save(network: Any, path: str | os.PathLike[str]) -> None:
    """Write weights, architecture, scale, channels and layers to a safetensors file, whole or not at all.

    What is over-parameterised for a training is written as the convolutions that it stands for. Equal networks give
    equal files, byte by byte.

    Parameters
    ----------
    network
        From :meth:`hnas_nni.Genotype.build`, or another architecture's, also compiled or inside DataParallel; left as
        it is.
    path
        The file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If it is no network of ours (:func:`hnas_nni.network.wrappers.plain_network`).
    """
    network = plain_network(network)
    header = ModelHeader(network.architecture, network.scale, network.channels, network.layers)
    if any(getattr(module, "over_parameterised", False) for module in network.modules()):
        # Not for every network: a copy of thousands of modules takes longer than the file.
        network = copy.deepcopy(network)
        collapse(network)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with replacing(path) as temporary:
        # Written by Python, which says why it can't be: safetensors' own errors tell nothing of a full disk.
        temporary.write_bytes(weights_file(tensors, header.to_metadata()))


def load(path: str | os.PathLike[str], device: str = "cpu") -> Any:
    """Load a network that :func:`save` wrote, in evaluation mode. No code of the file is executed.

    Parameters
    ----------
    path
        The safetensors file.
    device
        Where the network goes, e.g. "cuda".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged or not one of ours.
    """
    header = check(path)
    network = header.architecture.build(header.scale, header.channels, header.layers)
    with safe_open(path, framework="pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network.load_state_dict(tensors)
    return network.to(device).eval()


def check(path: str | os.PathLike[str]) -> ModelHeader:
    """Check that a file has the tensors of the network that its header tells of, so that this is no larger than it.

    Nothing is allocated for the weights: the network lies on torch's meta device.

    Returns
    -------
    ModelHeader
        What the file says of itself.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As for :func:`load`.
    """
    header = read_header(path)
    try:
        with torch.device("meta"):
            network: Any = header.architecture.build(header.scale, header.channels, header.layers)
    except (ValueError, RuntimeError) as error:
        raise ModelFileError(f"{path}: a model of hnas-nni with a damaged header ({error})") from error
    with safe_open(path, framework="np") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(tensor.get_shape()) for name, tensor in slices.items()}
        types = {name: tensor.get_dtype() for name, tensor in slices.items()}
    problem = misfit(shapes, shapes_of(network.state_dict()), types)
    if problem:
        raise ModelFileError(f"{path}: damaged: {problem}")
    return header


Shape = tuple[int, ...]


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Shape]:
    """Return the shapes of tensors by their names."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def misfit(shapes: Mapping[str, Shape], expected: Mapping[str, Shape], types: Mapping[str, str] | None = None) -> str:
    """Say which tensor is the first that does not fit a network, and how many do not; nothing if all do.

    Parameters
    ----------
    shapes, expected
        Those of the tensors that there are, and of the network's own, by their names.
    types
        What safetensors calls the types of the tensors, where they are not known to be floats.
    """
    problems = [f"tensor {name} is missing" for name in expected if name not in shapes]
    problems += [f"tensor {name} is not of its network" for name in shapes if name not in expected]
    problems += [
        f"tensor {name} has the shape {shape}, not {expected[name]}"
        for name, shape in shapes.items()
        if expected.get(name) not in (None, shape)
    ]
    wrong = {name: kind for name, kind in (types or {}).items() if kind not in _FLOATS}
    problems += [f"tensor {name} is of type {kind}, not a float" for name, kind in wrong.items()]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""
