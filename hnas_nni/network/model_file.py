"""Trained networks as files: safetensors with the architecture inside, so that the file alone is enough to load it."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open

from hnas_nni.files import replacing
from hnas_nni.network.model_header import ModelFileError, ModelHeader, read_header
from hnas_nni.network.over_parameterised import collapse

__all__ = ["ModelFileError", "load", "save"]


def save(network: Any, path: str | os.PathLike[str]) -> None:
    """Write weights, architecture, scale, channels and layers to a safetensors file, whole or not at all.

    What is over-parameterised for a training is written as the convolutions that it stands for.

    Parameters
    ----------
    network
        From :meth:`hnas_nni.Genotype.build`, or another architecture's; left as it is.
    path
        The file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    header = ModelHeader(network.architecture, network.scale, network.channels, network.layers)
    network = copy.deepcopy(network)
    collapse(network)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with replacing(path) as temporary:
        # Written by Python, which says why it can't be: safetensors' own errors tell nothing of a full disk.
        temporary.write_bytes(safetensors.torch.save(tensors, header.to_metadata()))


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
    header = read_header(path)
    try:
        network = header.architecture.build(header.scale, header.channels, header.layers)
    except ValueError as error:
        raise ModelFileError(f"{path}: a model of hnas-nni with a damaged header ({error})") from error
    with safe_open(path, framework="pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    problem = misfit(shapes_of(tensors), shapes_of(network.state_dict()))
    if problem:
        raise ModelFileError(f"{path}: damaged: {problem}")
    network.load_state_dict(tensors)
    return network.to(device).eval()


Shape = tuple[int, ...]


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Shape]:
    """Return the shapes of tensors by their names."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def misfit(shapes: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str:
    """Say which tensor is the first that does not fit a network, and how many do not; nothing if all do.

    Parameters
    ----------
    shapes, expected
        Those of the tensors that there are, and of the network's own, by their names.
    """
    problems = [f"tensor {name} is missing" for name in expected if name not in shapes]
    problems += [f"tensor {name} is not of its network" for name in shapes if name not in expected]
    problems += [
        f"tensor {name} has the shape {shape}, not {expected[name]}"
        for name, shape in shapes.items()
        if expected.get(name) not in (None, shape)
    ]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else ""
