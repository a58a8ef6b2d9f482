"""Smaller copies of training images: more, and sharper, patches out of few photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from hnas_nni.data.resize import bicubic_downsample, modcrop
from hnas_nni.data.sources import ImagePair

SIZES = (0.7, 0.5)
"""Of the copies, as shares of the image's sides."""


def with_smaller_copies(pairs: Sequence[ImagePair], scale: int, minimum_size: int) -> list[ImagePair]:
    """Return images, and behind them copies of seven and five tenths of their size.

    As training sets of few images have been enlarged since SRCNN's successors (FSRCNN, arXiv 1608.00367, section 4.1).
    A copy shows detail of another size, and without the blur and the blocks of JPEG that a photograph has at its own.

    Parameters
    ----------
    pairs
        The images.
    scale
        Factor between LR and HR; a copy's LR is made from it by the papers' bicubic.
    minimum_size
        Copies whose HR has a side of fewer pixels are left out.

    Returns
    -------
    list of ImagePair
        The images themselves first; a copy is named after its image and its size.
    """
    found = list(pairs)
    for size in SIZES:
        for pair in pairs:
            height, width = (round(size * side) for side in pair.hr.shape[:2])
            if min(height, width) - min(height, width) % scale >= minimum_size:
                copy = Image.fromarray(pair.hr).resize((width, height), Image.Resampling.BICUBIC)
                hr = modcrop(np.asarray(copy), scale)
                found.append(ImagePair(f"{pair.name} x {size}", bicubic_downsample(hr, scale), hr))
    return found
