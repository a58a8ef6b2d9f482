"""The images of a training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hnas_nni.data import (
    DataError,
    ImagePair,
    PatchSampler,
    hint_at_skipping,
    load_pairs,
    load_splits,
    with_smaller_copies,
)
from hnas_nni.settings import EMBEDDED
from hnas_nni.training.settings import TrainingSettings

_BYTES_PER_PIXEL = 4


def load_images(settings: TrainingSettings) -> tuple[list[ImagePair], list[ImagePair]]:
    """Load the training and the validation images.

    Of the embedded photographs two are left to validation, unless that has a folder of its own.

    Raises
    ------
    DataError
        If images can't be used, or one is in both sets.
    """
    training: list[ImagePair] = []
    validation: list[ImagePair] = []
    strict = not settings.skip_unusable
    with hint_at_skipping():
        for data in settings.data:
            if data == EMBEDDED and settings.validation is None:
                splits = load_splits(data, settings.scale, patch_size=settings.patch)
                training += splits.search
                validation += splits.validation
            else:
                training += load_pairs(data, settings.scale, minimum_size=settings.patch, strict=strict)
        if settings.validation is not None:
            validation = load_pairs(settings.validation, settings.scale, strict=strict)
    measured = {(pair.lr.shape, pair.lr.tobytes()): pair.name for pair in validation}
    for pair in training:
        if name := measured.get((pair.lr.shape, pair.lr.tobytes())):
            raise DataError(f"{pair.name}: the training image is the validation image {name}; remove one of the two")
    if settings.smaller_copies:
        training = with_smaller_copies(training, settings.scale, settings.patch)
    return training, validation


def make_sampler(pairs: Sequence[ImagePair], settings: TrainingSettings, device: torch.device) -> PatchSampler:
    """Make the sampler of training patches, on the device if its memory can hold the images besides the training."""
    pixels = sum(pair.hr[..., 0].size + pair.lr[..., 0].size for pair in pairs)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if pixels * _BYTES_PER_PIXEL > free / 2:
            device = torch.device("cpu")
    return PatchSampler(pairs, settings.scale, settings.patch, device, settings.seed)
