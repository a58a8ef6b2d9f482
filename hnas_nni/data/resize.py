"""Bicubic resizing as super-resolution papers do it: MATLAB's ``imresize``, to the bit.

The LR images of every published comparison were made with it. The recipe: the cubic kernel with a = -0.5
(Keys, IEEE TASSP 1981), widened by the scale when shrinking (antialiasing), weights that sum to one, indices
clamped at the border, rows first and then columns, and rounding half up to uint8 after either pass.

For a whole-number scale every weight is a ratio of whole numbers, so the sums are done in integers: the
result is the same on every machine, and a value halfway between two grey levels is seen as such.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

ImageArray = npt.NDArray[np.uint8]


class _Kernel(NamedTuple):
    """Integer weights of neighbouring pixels; they are divided by their sum."""

    first: int
    """Index of the first pixel, relative to the pixel that the output starts from."""
    weights: tuple[int, ...]


def bicubic_downsample(image: ImageArray, scale: int) -> ImageArray:
    """Shrink an image like MATLAB's ``imresize(image, 1 / scale)``.

    Parameters
    ----------
    image
        uint8, (h, w) or (h, w, channels).
    scale
        Whole number, at least 1.

    Returns
    -------
    numpy.ndarray
        uint8, (ceil(h / scale), ceil(w / scale)[, channels]). Papers crop the HR image to a multiple of the
        scale first (:func:`modcrop`), so that HR is exactly `scale` times LR.

    Raises
    ------
    ValueError
        If the image is not such an array or is empty, or the scale is not such a number.
    """
    _check(image, scale)
    # Output i is centred on input scale * i + (scale - 1) / 2; the kernel reaches 2 * scale to either side.
    kernel = _kernel([2 * k - (scale - 1) for k in range(-2 * scale, 3 * scale)], scale, first=-2 * scale)
    return _resample(_resample(image, 0, [kernel], scale), 1, [kernel], scale)


def bicubic_upsample(image: ImageArray, scale: int) -> ImageArray:
    """Enlarge an image like MATLAB's ``imresize(image, scale)``: the baseline of every comparison.

    Parameters
    ----------
    image
        uint8, (h, w) or (h, w, channels).
    scale
        Whole number, at least 1.

    Returns
    -------
    numpy.ndarray
        uint8, (scale * h, scale * w[, channels]).

    Raises
    ------
    ValueError
        If the image is not such an array or is empty, or the scale is not such a number.
    """
    _check(image, scale)
    # Output scale * q + phase is centred on input q + (2 * phase + 1 - scale) / (2 * scale).
    kernels = [
        _kernel([2 * scale * k - (2 * phase + 1 - scale) for k in range(-3, 4)], scale, first=-3)
        for phase in range(scale)
    ]
    return _resample(_resample(image, 0, kernels, 1), 1, kernels, 1)


def modcrop(image: ImageArray, scale: int) -> ImageArray:
    """Cut the right and lower border so that both sides are multiples of the scale.

    Parameters
    ----------
    image
        Array of shape (h, w) or (h, w, channels).
    scale
        Whole number, at least 1.

    Returns
    -------
    numpy.ndarray
        A view of the upper left part of the image.
    """
    height, width = image.shape[:2]
    return image[: height - height % scale, : width - width % scale]


def _check(image: ImageArray, scale: int) -> None:
    if isinstance(scale, bool) or not isinstance(scale, (int, np.integer)) or scale < 1:
        raise ValueError(f"the scale must be a whole number of at least 1, not {scale!r}")
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"an image must be a uint8 array of shape (h, w) or (h, w, channels), not {found}")
    if not image.size:
        raise ValueError(f"cannot resize an empty image of shape {image.shape}")


def _cubic(distance: int, scale: int) -> int:
    """Keys' kernel (a = -0.5) at ``distance / (2 * scale)``, times ``2 * (2 * scale) ** 3``: an integer."""
    n, m = abs(distance), 2 * scale
    if n <= m:
        return 3 * n**3 - 5 * n**2 * m + 2 * m**3
    if n < 2 * m:
        return -(n**3) + 5 * n**2 * m - 8 * n * m**2 + 4 * m**3
    return 0


def _kernel(distances: list[int], scale: int, first: int) -> _Kernel:
    """The kernel's values at the given distances (unit: 1 / (2 * scale)), without zeros at either end."""
    weights = [_cubic(distance, scale) for distance in distances]
    used = [index for index, weight in enumerate(weights) if weight]
    weights = weights[used[0] : used[-1] + 1]
    divisor = math.gcd(*weights)
    return _Kernel(first + used[0], tuple(weight // divisor for weight in weights))


def _resample(image: ImageArray, axis: int, kernels: list[_Kernel], stride: int) -> ImageArray:
    """One pass along an axis: output ``len(kernels) * i + p`` is kernel p applied at pixel ``stride * i``."""
    length = image.shape[axis]
    steps = -(-length // stride)
    before = max(0, *(-kernel.first for kernel in kernels))
    end = (steps - 1) * stride + max(kernel.first + len(kernel.weights) for kernel in kernels)
    largest_sum = max(512 * sum(map(abs, kernel.weights)) for kernel in kernels)
    integer: type[np.signedinteger[Any]] = np.int32 if largest_sum < 2**31 else np.int64

    border = [(0, 0)] * image.ndim
    border[axis] = (before, max(0, end - length))
    edged = np.pad(image, border, mode="edge")
    padded: npt.NDArray[np.signedinteger[Any]] = np.moveaxis(edged.astype(integer), axis, 0)
    shape = list(image.shape)
    shape[axis] = steps * len(kernels)
    result = np.empty(shape, np.uint8)
    rows = np.moveaxis(result, axis, 0)
    for phase, (first, weights) in enumerate(kernels):
        total = sum(weights)
        # Twice the weighted sum, plus `total`: a floor division by 2 * total then rounds half up.
        value: npt.NDArray[np.signedinteger[Any]] = np.full_like(rows[phase :: len(kernels)], total, dtype=integer)
        for index, weight in enumerate(weights, before + first):
            value += (2 * weight) * padded[index : index + (steps - 1) * stride + 1 : stride]
        value //= 2 * total
        rows[phase :: len(kernels)] = np.clip(value, 0, 255)
    return result
