"""Images for super-resolution: reading, the papers' bicubic degradation, splits and patches.

Importing this package loads no torch; the patches, which need it, are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.data.images import ImageError, read_image
from hnas_nni.data.layouts import DataError
from hnas_nni.data.resize import bicubic_downsample, bicubic_upsample, modcrop
from hnas_nni.data.sources import ImagePair, UnusableImageError, hint_at_skipping, load_pairs
from hnas_nni.data.splits import Splits, load_splits

if TYPE_CHECKING:
    from hnas_nni.data.patches import PatchSampler, fixed_patches

__all__ = [
    "DataError",
    "ImageError",
    "ImagePair",
    "PatchSampler",
    "Splits",
    "UnusableImageError",
    "bicubic_downsample",
    "bicubic_upsample",
    "fixed_patches",
    "hint_at_skipping",
    "load_pairs",
    "load_splits",
    "modcrop",
    "read_image",
]


def __getattr__(name: str) -> Any:
    if name in {"PatchSampler", "fixed_patches"}:
        from hnas_nni.data import patches

        return getattr(patches, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
