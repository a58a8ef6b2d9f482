"""Exporting a network, and checking the file against it before it is given its name."""

from __future__ import annotations

import copy
import os
import random
from pathlib import Path

import torch

from hnas_nni.files import replacing
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.export_formats import FORMATS, Metadata, Runner, format_of
from hnas_nni.network.over_parameterised import collapse
from hnas_nni.network.wrappers import plain_network

TOLERANCE = 1e-4
"""Largest accepted difference to torch, for images in 0..1: a fortieth of a grey level of 255."""

_LARGEST_SIDE = 40
_RANDOM_SIZES = 4


class ExportError(ValueError):
    """An exported network that does not compute what the original does; the message says by how much."""


def export(network: SuperResolutionNetwork, path: str | os.PathLike[str], format: str | None = None) -> float:
    """Write a network for use without this project, for images of any size and batches of any number.

    Input ``lr`` and output ``sr`` are RGB in 0..1, float32, ``(n, 3, h, w)`` and ``(n, 3, s * h, s * w)``. The file
    carries the architecture (JSON), scale, channels and layers: in ONNX as ``metadata_props``, in the other two as the
    extra file ``hnas.json``. Before it gets its name it is run by ONNX Runtime or torch on random images of several
    sizes.

    Parameters
    ----------
    network
        The network, on any device, of any floating-point type, also compiled or inside DataParallel; it stays as it is,
        and is exported in evaluation mode.
    path
        The file; one that exists is replaced.
    format
        "onnx", "torchscript" or "exported" (torch.export); by default as the file's ending says: .onnx, .pt or .pt2.

    Returns
    -------
    float
        The largest absolute difference between the file's output and the network's, at most :data:`TOLERANCE`.

    Raises
    ------
    ValueError
        If it is no network of ours, there is no such format, or packages that ONNX needs are missing.
    FileNotFoundError
        If the folder of `path` does not exist.
    ExportError
        If the difference is larger. No file is written then.
    """
    path = Path(path)
    name = format_of(path) if format is None else format
    if name not in FORMATS:
        raise ValueError(f"{name}: no such format; known are {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    original = copy.deepcopy(plain_network(network)).cpu().float().eval()
    collapse(original)
    with replacing(path) as temporary:
        chosen.write(original, temporary, _metadata(original))
        difference = _largest_difference(original, chosen.load(temporary))
        if not difference <= TOLERANCE:  # nan is no success either
            raise ExportError(
                f"{path}: {chosen.title} differs from torch by {difference:.1e}, more than {TOLERANCE:.0e}; nothing "
                "was written: check the weights for infinite values, or use another format"
            )
    return difference


def _metadata(network: SuperResolutionNetwork) -> Metadata:
    return {
        "format": "hnas-export",
        network.architecture.kind: network.architecture.to_json(),
        "scale": str(network.scale),
        "channels": str(network.channels),
        "layers": str(network.layers),
    }


def _largest_difference(network: SuperResolutionNetwork, exported: Runner) -> float:
    """Compare on the smallest image and on random ones."""
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    sizes = [(1, 1, 1)]
    for _ in range(_RANDOM_SIZES):
        sizes.append((draw.randint(1, 3), draw.randint(2, _LARGEST_SIDE), draw.randint(2, _LARGEST_SIDE)))
    differences = []
    with torch.no_grad():
        for number, height, width in sizes:
            lr = torch.rand(number, 3, height, width, generator=generator)
            sr, expected = exported(lr), network(lr)
            if sr.shape != expected.shape:
                raise ExportError(f"gives {tuple(sr.shape)} for {tuple(lr.shape)}, not {tuple(expected.shape)}")
            differences.append((sr - expected).abs().max())
    return float(torch.stack(differences).max())  # nan, if there is one
