"""Geometric self-ensemble: the mean over the eight flips and turns (Timofte et al., CVPR 2016, section 3.6)."""

from __future__ import annotations

from collections.abc import Callable

import torch

TRANSFORMATIONS = 8
"""Flips and quarter turns of a square."""


def self_ensemble(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Upscale each flip and turn of the images, undo it, and return the mean.

    One is computed after another, so this takes eight times as long, but no more memory than one of them and two
    results.

    Parameters
    ----------
    network
        Maps ``(n, 3, h, w)`` to ``(n, 3, s * h, s * w)``.
    images
        ``(n, 3, h, w)``.

    Returns
    -------
    torch.Tensor
        ``(n, 3, s * h, s * w)``, not rounded.
    """
    total: torch.Tensor | None = None
    for turns in range(4):
        for flipped in (False, True):
            seen = torch.rot90(images, turns, (2, 3))
            seen = seen.flip(3) if flipped else seen
            result = network(seen)
            result = result.flip(3) if flipped else result
            result = torch.rot90(result, -turns, (2, 3))
            total = result.clone() if total is None else total.add_(result)
    assert total is not None
    return total.div_(TRANSFORMATIONS)
