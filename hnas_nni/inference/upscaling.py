"""Upscaling pictures: arrays, Pillow images and files, with their transparency and colour profile."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from hnas_nni.inference.enlarging import TileSize, enlarge, enlarge_bands
from hnas_nni.inference.models import BICUBIC, Model, NetworkModel, read_model
from hnas_nni.inference.transparency import WithOpacity, cover_hidden
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.network.devices import choose_device
from hnas_nni.network.wrappers import plain_network
from hnas_nni.pictures.picture import Picture, PictureRows, Pixels, split_channels
from hnas_nni.pictures.pillow import from_pillow, to_pillow

_OVERSHOOT = 0.5
"""How far floating-point images may leave 0..1, as filters let them; what goes further is of another range."""

_Image = TypeVar("_Image", Image.Image, npt.NDArray[Any])


def upscale(
    image: _Image,
    model: SuperResolutionNetwork | Model | str | os.PathLike[str],
    *,
    scale: int | None = None,
    device: str = "auto",
    tile: TileSize = "auto",
    self_ensemble: bool = False,
) -> _Image:
    """Upscale an image.

    Parameters
    ----------
    image
        A Pillow image of any mode of 8 bits, or 16-bit grey; or an array (h, w), (h, w, 1) for grey, (h, w, 3) for
        RGB, (h, w, 2) and (h, w, 4) with alpha, of type uint8, uint16, or floating point in 0..1 (an overshoot of up to
        0.5 is cut), in any byte order.
    model
        A network (it stays on its device and of its floating-point type, and is set to evaluation mode; one that is
        compiled or inside DataParallel is taken out of it), a model file, or ``"bicubic"``.
    scale
        Upscaling factor; needed for ``"bicubic"``, checked for others.
    device
        Where a model from a file runs: "auto" (CUDA if there is one), "cpu", "cuda", ...
    tile
        Largest side of a tile in LR pixels, None for none; see :func:`hnas_nni.inference.enlarge`.
    self_ensemble
        Take the mean over the eight flips and turns.

    Returns
    -------
    PIL.Image.Image or numpy.ndarray
        Of the kind that was given, `scale` times as large; values are cut to their range. Grey stays grey. Opacity
        is upscaled by bicubic interpolation, and colours that it hides do not show at its edges. A Pillow image with a
        palette becomes RGB; its colour profile is kept and its Exif orientation applied.

    Raises
    ------
    ValueError
        If the image is of another kind or range, or the model can't be used (:func:`hnas_nni.inference.read_model`).
    FileNotFoundError
        If there is no such model file.
    """
    ready = _model(model, scale, device, self_ensemble)
    if isinstance(image, Image.Image):
        return to_pillow(upscale_picture(from_pillow(image), ready, tile))
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image: expected a Pillow image or an array, got {type(image).__name__}")
    if image.size == 0 or image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
        raise ValueError(f"image: shape {image.shape} is not valid; give (h, w) or (h, w, 1 to 4)")
    result = upscale_picture(Picture(*split_channels(_in_known_range(image))), ready, tile).channels
    return result.reshape(*result.shape[:2], *image.shape[2:]).astype(image.dtype, copy=False)


def upscale_picture(
    picture: Picture, model: Model, tile: TileSize = "auto", advance: Callable[[int], object] | None = None
) -> Picture:
    """Upscale a picture with all that belongs to it; for the parameters see :func:`hnas_nni.inference.enlarge`."""
    channels, model = _with_opacity(picture, model)
    pixels, alpha = split_channels(enlarge(channels, model, tile, advance=advance))
    return replace(picture, pixels=pixels, alpha=alpha)


def upscale_rows(
    picture: Picture, model: Model, tile: TileSize = "auto", advance: Callable[[int], object] | None = None
) -> PictureRows:
    """Upscale a picture while its rows are asked for, so that the result need not fit into the memory.

    For the parameters see :func:`hnas_nni.inference.enlarge`; the rows together are what :func:`upscale_picture` gives.
    """
    channels, model = _with_opacity(picture, model)
    height, width, count = channels.shape
    bands = enlarge_bands(channels, model, tile, advance=advance)
    return PictureRows((model.scale * height, model.scale * width, count), channels.dtype, bands, picture)


def _in_known_range(image: npt.NDArray[Any]) -> Pixels:
    """Return an array as uint8, uint16 or float32 of this machine's byte order, if it says what white is."""
    native = image.dtype.newbyteorder("=")
    if native in (np.uint8, np.uint16):
        return image.astype(native, copy=False)
    if native.kind != "f":
        raise ValueError(f"image: type {image.dtype} is not valid; give uint8, uint16, or floating point in 0..1")
    least, most = float(image.min()), float(image.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError("image: holds numbers that are not finite; give floating point in 0..1")
    if least < -_OVERSHOOT or most > 1 + _OVERSHOOT:
        raise ValueError(
            f"image: floating point from {least:g} to {most:g} is not valid; give 0..1, or levels as uint8 or uint16"
        )
    return image.astype(np.float32)


def _with_opacity(picture: Picture, model: Model) -> tuple[Pixels, Model]:
    """Return what to enlarge of a picture, and by what: its colours, with its opacity if it has one."""
    if picture.alpha is None:
        return picture.pixels, model
    covered = replace(picture, pixels=cover_hidden(picture.pixels, picture.alpha))
    return covered.channels, WithOpacity(model)


def _model(
    model: SuperResolutionNetwork | Model | str | os.PathLike[str], scale: int | None, device: str, self_ensemble: bool
) -> Model:
    if isinstance(model, (str, os.PathLike)):
        return read_model(model, scale, choose_device("cpu" if model == BICUBIC else device), ensemble=self_ensemble)
    if not isinstance(model, Model):
        network = plain_network(model)
        model = NetworkModel(network, device=next(network.parameters()).device, ensemble=self_ensemble)
    if scale not in (None, model.scale):
        raise ValueError(f"{model.name}: upscales by {model.scale}, not by {scale}")
    return model
