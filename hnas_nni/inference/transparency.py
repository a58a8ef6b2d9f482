"""Enlarging colour and opacity together, so that what is hidden beneath transparent parts does not show at their edges.

Files and arrays hold straight alpha: colours that are not multiplied by the opacity, and where it is 0 any colour at
all, mostly black. Interpolation multiplies colours by it first (Porter and Duff, SIGGRAPH 1984); a network, which was
trained on whole pictures, is given the nearest visible colours in the place of hidden ones.
"""

from __future__ import annotations

import numpy as np

from hnas_nni.inference.models import BICUBIC_REACH, Bicubic, Model
from hnas_nni.pictures.picture import Pixels, peak_of, split_channels

_LEAST_WEIGHT = 1 / 8
"""Opacity from which on a mean that is weighted by it counts in full."""


class WithOpacity:
    """A model that enlarges ``(h, w, 2)``, grey with opacity, and ``(h, w, 4)``, RGB with opacity.

    What is hidden must be covered before (:func:`cover_hidden`). Opacity is enlarged by bicubic interpolation, colours
    by the model. Where nothing is visible the result is 0.

    Parameters
    ----------
    model
        Enlarges the colours.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.name, self.scale, self.device, self.cost = model.name, model.scale, model.device, model.cost
        self.overlap, self.is_local = max(model.overlap, BICUBIC_REACH), model.is_local
        self._bicubic = Bicubic(model.scale)

    def __call__(self, image: Pixels) -> Pixels:
        colours, alpha = split_channels(image)
        assert alpha is not None
        opacity = self._bicubic(alpha)
        enlarged = self._interpolated(colours, alpha) if isinstance(self.model, Bicubic) else self.model(colours)
        return np.concatenate([np.where(opacity > 0, enlarged, 0).astype(image.dtype), opacity], axis=2)

    def pixels_within(self, memory: int) -> int:
        # Interpolation computes colours with and without their weights, in floating point.
        return self.model.pixels_within(memory // 3 if isinstance(self.model, Bicubic) else memory)

    def _interpolated(self, colours: Pixels, alpha: Pixels) -> Pixels:
        """Interpolate colours, each with the weight of its opacity; wholly opaque parts to the bit as without."""
        from scipy.ndimage import minimum_filter

        peak = peak_of(alpha.dtype)
        opaque = minimum_filter(alpha, (2 * BICUBIC_REACH + 1, 2 * BICUBIC_REACH + 1, 1), mode="nearest") >= peak
        straight = self._bicubic(colours)
        if opaque.all():
            return straight
        weights = alpha.astype(np.float32) / peak
        # Neither rounded nor cut, so that a colour overshoots as its weight does, and stays what it is.
        weighted, weight, plain = (self._bicubic.interpolate(part) for part in (colours * weights, weights, colours))
        # weighted / weight; where next to nothing is visible, and the quotient is of rounding errors, more and more the
        # colours that cover what is hidden.
        mean = plain + (weighted - weight * plain) / np.maximum(weight, _LEAST_WEIGHT)
        opaque = opaque.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
        return np.where(opaque, straight, self._bicubic.in_range(mean, colours.dtype))


def cover_hidden(colours: Pixels, alpha: Pixels) -> Pixels:
    """Give hidden pixels the colour of the nearest visible one.

    Parameters
    ----------
    colours
        ``(h, w, 1 or 3)``.
    alpha
        Opacity, ``(h, w, 1)``; where it is 0 a pixel is hidden.

    Returns
    -------
    numpy.ndarray
        As `colours`; itself where no pixel is hidden, or all are.
    """
    from scipy.ndimage import distance_transform_edt

    hidden = alpha[..., 0] <= 0
    if not hidden.any() or hidden.all():
        return colours
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return colours[rows, columns]
