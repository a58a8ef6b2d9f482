"""Enlarging by MATLAB's bicubic within a network: differentiable, in floating point, and in every export format."""

from __future__ import annotations

import torch
import torch.nn.functional as F

REACH = 2
"""LR pixels on each side that an output pixel depends on."""

_A = -0.5
"""Of Keys' kernel (IEEE TASSP 1981), as MATLAB has it; torch's own is -0.75."""


def bicubic(images: torch.Tensor, scale: int) -> torch.Tensor:
    """Enlarge images as :func:`hnas_nni.data.bicubic_upsample` does, without rounding.

    Parameters
    ----------
    images
        ``(n, c, h, w)``.
    scale
        Whole number.

    Returns
    -------
    torch.Tensor
        ``(n, c, scale * h, scale * w)``.
    """
    padded = F.pad(images, (REACH, REACH, REACH, REACH), mode="replicate")
    weights = [_weights(phase, scale) for phase in range(scale)]
    return _enlarge(_enlarge(padded, weights, 2), weights, 3)


def _enlarge(padded: torch.Tensor, weights: list[list[float]], axis: int) -> torch.Tensor:
    # Sums of shifted images, not a convolution: those lose digits under automatic mixed precision.
    before = (slice(None),) * axis
    shifted = [padded[(*before, slice(first, first - 2 * REACH or None))] for first in range(2 * REACH + 1)]
    phases = []
    for phase in weights:
        total = shifted[0] * phase[0]
        for image, weight in zip(shifted[1:], phase[1:], strict=True):
            total = total + image * weight
        phases.append(total)
    return torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)


def _weights(phase: int, scale: int) -> list[float]:
    """Weights of the LR pixels -2..2 around the one that HR pixel number `phase` of it lies in."""
    centre = (phase + 0.5) / scale - 0.5
    return [_cubic(abs(pixel - centre)) for pixel in range(-REACH, REACH + 1)]


def _cubic(distance: float) -> float:
    if distance <= 1:
        return (_A + 2) * distance**3 - (_A + 3) * distance**2 + 1
    if distance < 2:
        return _A * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return 0.0
