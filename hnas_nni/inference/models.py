"""What enlarges an image: a trained network, or bicubic interpolation, behind one face."""

from __future__ import annotations

import os
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from hnas_nni.architecture.peers import find_peer
from hnas_nni.cost import Cost
from hnas_nni.data import bicubic_upsample
from hnas_nni.inference.memory import available_bytes, bytes_per_pixel
from hnas_nni.inference.model_names import BICUBIC, distinct_names, model_name, parse_model
from hnas_nni.inference.self_ensemble import self_ensemble
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.model_file import load
from hnas_nni.network.wrappers import dtype_of, plain_network
from hnas_nni.pictures.picture import Pixels, peak_of
from hnas_nni.settings import check_scale

_GREY = (0.299, 0.587, 0.114)
"""Weights of R, G and B in grey, ITU-R BT.601."""

_DIVERGED = "that are not finite, as after a training that diverged; give another model"

BICUBIC_REACH = 3
"""How many LR pixels away bicubic interpolation looks, at most."""

_BICUBIC_BYTES_PER_PIXEL = 100


class DivergedError(ValueError):
    """A network with weights or results that are no finite numbers; the message names it."""


@runtime_checkable
class Model(Protocol):
    """An enlarger of images."""

    name: str
    scale: int
    device: torch.device
    overlap: int
    """How many LR pixels around a tile its result depends on, at most, if :attr:`is_local`."""
    is_local: bool
    """Whether an image in tiles comes out as the whole image does."""
    cost: Cost | None
    """Multiply-adds at a 3x480x480 input, and parameters; None for interpolation."""

    def __call__(self, image: Pixels) -> Pixels:
        """Enlarge an image in one piece: ``(h, w, c)`` to ``(s * h, s * w, c)``, of the same type."""
        ...

    def pixels_within(self, memory: int) -> int:
        """Return how many LR pixels can be enlarged at once within so many bytes."""
        ...


class Bicubic:
    """MATLAB's bicubic, to the bit for uint8 (:func:`hnas_nni.data.bicubic_upsample`).

    Other types go through Pillow's, which has the same kernel, in floating point.

    Parameters
    ----------
    scale
        Upscaling factor: 2, 3 or 4.
    """

    name: str = BICUBIC
    device = torch.device("cpu")
    overlap = BICUBIC_REACH
    is_local = True
    cost: Cost | None = None

    def __init__(self, scale: int) -> None:
        check_scale("scale", scale)
        self.scale = scale

    def __call__(self, image: Pixels) -> Pixels:
        if image.dtype == np.uint8:
            return bicubic_upsample(image, self.scale)
        return self.in_range(self.interpolate(image), image.dtype)

    def interpolate(self, image: Pixels) -> Pixels:
        """Enlarge an image in floating point, neither rounded nor cut to its range."""
        margin = BICUBIC_REACH  # the border repeated, as MATLAB does
        edged = np.pad(image.astype(np.float32), [(margin, margin), (margin, margin), (0, 0)], mode="edge")
        size = (edged.shape[1] * self.scale, edged.shape[0] * self.scale)
        channels = [
            np.asarray(Image.fromarray(edged[..., channel]).resize(size, Image.Resampling.BICUBIC))
            for channel in range(image.shape[2])
        ]
        inside = slice(margin * self.scale, -margin * self.scale)
        return np.stack([channel[inside, inside] for channel in channels], axis=2)

    @staticmethod
    def in_range(image: Pixels, dtype: np.dtype[Any]) -> Pixels:
        """Cut floating-point numbers to the range of a type, and round them where it is one of whole numbers."""
        cut = image.clip(0, peak_of(dtype))
        return (cut if dtype.kind == "f" else np.rint(cut)).astype(dtype)

    def pixels_within(self, memory: int) -> int:
        return memory // (_BICUBIC_BYTES_PER_PIXEL * self.scale)


class NetworkModel:
    """A trained network.

    Parameters
    ----------
    network
        The network, also compiled or inside DataParallel, of any floating-point type; it is set to evaluation mode and
        moved to `device`.
    name
        What tables and pictures call it.
    device
        Where it runs.
    ensemble
        Return the mean over the eight flips and turns (:func:`hnas_nni.inference.self_ensemble`).

    Raises
    ------
    ValueError
        If it is no network of ours (:func:`hnas_nni.network.wrappers.plain_network`).
    """

    def __init__(
        self,
        network: SuperResolutionNetwork,
        name: str = "network",
        device: str | torch.device = "cpu",
        *,
        ensemble: bool = False,
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        network = plain_network(network)
        self.network = network.eval().to(self.device)
        self.scale = network.scale
        self.ensemble = ensemble
        self.overlap = network.reach
        self.is_local = network.is_local
        self.cost: Cost | None = network.architecture.cost(network.scale, network.channels, network.layers)
        self._bytes_per_pixel = 0

    @torch.inference_mode()
    def __call__(self, image: Pixels) -> Pixels:
        peak = peak_of(image.dtype)
        lr = torch.from_numpy(np.ascontiguousarray(image.astype(np.float32).transpose(2, 0, 1)))[None]
        lr = lr.to(self.device).div_(peak).expand(-1, 3, -1, -1).contiguous()
        # TF32 would be faster on recent GPUs, and change the third digit.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            sr = self_ensemble(self._upscale, lr) if self.ensemble else self._upscale(lr)
        if not torch.isfinite(sr.sum()):  # one number that is not makes the sum so
            raise DivergedError(f"{self.name}: computes numbers {_DIVERGED}")
        if image.shape[2] == 1:
            sr = (sr * sr.new_tensor(_GREY).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        sr = sr[0].clamp(0, 1)
        if image.dtype.kind != "f":
            sr = sr.mul(peak).round()
        return sr.permute(1, 2, 0).cpu().numpy().astype(image.dtype)

    def _upscale(self, lr: torch.Tensor) -> torch.Tensor:
        return self.network(lr.to(dtype_of(self.network))).float()

    def pixels_within(self, memory: int) -> int:
        if not self._bytes_per_pixel:
            result_bytes = 2 * 12 * self.scale**2 if self.ensemble else 0
            self._bytes_per_pixel = bytes_per_pixel(self.network) + result_bytes
        return memory // self._bytes_per_pixel


def read_model(
    name: str | os.PathLike[str],
    scale: int | None = None,
    device: str | torch.device = "cpu",
    *,
    ensemble: bool = False,
) -> Model:
    """Read a model file, or make the bicubic model.

    Parameters
    ----------
    name
        A file of :func:`hnas_nni.save`, or ``"bicubic"``.
    scale
        The upscaling factor that is wanted; the bicubic model needs it.
    device
        Where a network runs.
    ensemble
        See :class:`NetworkModel`; the bicubic model is the same without.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or not one of ours, is of another scale, has weights that are not finite, or bicubic
        was not told the scale.
    """
    if name == BICUBIC:
        if scale is None:
            raise ValueError("bicubic: of which scale? Give --scale 2, 3 or 4")
        return Bicubic(scale)
    if find_peer(str(name)) is not None and not os.path.exists(name):
        raise FileNotFoundError(f"{name}: is a network, and this takes its weights; give a model file of hnas train")
    network = load(name, str(device))
    if scale is not None and network.scale != scale:
        raise ValueError(f"{name}: upscales by {network.scale}, not by {scale}; give a model of the same scale")
    if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
        raise DivergedError(f"{name}: has weights {_DIVERGED}")
    return NetworkModel(network, model_name(name), device, ensemble=ensemble)


def read_models(
    names: list[str], scale: int | None = None, device: str | torch.device = "cpu", *, ensemble: bool = False
) -> list[Model]:
    """Read several models of one scale; the bicubic model takes that of the others. See :func:`read_model`.

    Parameters
    ----------
    names
        Files, or ``"bicubic"``; as ``NAME=FILE`` with what tables and pictures are to call them. Without, see
        :func:`hnas_nni.inference.model_names.distinct_names`.
    scale, device, ensemble
        As for :func:`read_model`.

    Raises
    ------
    ValueError
        As for :func:`read_model`, and if the models differ in scale, or a model or a name is given twice.
    """
    asked = [parse_model(name) for name in names]
    files = [model.file for model in asked]
    for file in files:
        if files.count(file) > 1:
            raise ValueError(f"{file}: given twice; give each model once")
    models: dict[str, Model] = {}
    for file, name in sorted(zip(files, distinct_names(asked), strict=True), key=lambda model: model[0] == BICUBIC):
        models[file] = read_model(file, scale, device, ensemble=ensemble)
        models[file].name = name
        scale = models[file].scale
    return [models[file] for file in files]


def memory_budget(model: Model) -> int:
    """Return how many bytes a model may take at a time: half of what its device has free."""
    return available_bytes(model.device) // 2
