"""The images of a trial, decoded once where one process makes many trials out of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hnas_nni.settings import EMBEDDED
from hnas_nni.trial.settings import TrialSettings

if TYPE_CHECKING:
    from hnas_nni.data import ImagePair


class TrialImages(NamedTuple):
    """The images that a trial trains on, and others that it is measured on."""

    training: list[ImagePair]
    measured: list[ImagePair]


_kept: dict[TrialSettings, TrialImages] = {}


def images_of(settings: TrialSettings) -> TrialImages:
    """Return the images of a trial: it is measured on those that a search holds out, and trains on all others.

    Raises
    ------
    hnas_nni.data.DataError
        See :func:`hnas_nni.data.load_splits`.
    """
    return _kept.get(settings) or _load(settings)


def keep_images(settings: TrialSettings) -> None:
    """Decode the images of the trials to come, if they are the photographs that come along: a folder may change."""
    if settings.data == EMBEDDED and settings not in _kept:
        _kept.clear()
        _kept[settings] = _load(settings)


def _load(settings: TrialSettings) -> TrialImages:
    from hnas_nni.data import load_splits, with_smaller_copies

    splits = load_splits(
        settings.data, settings.scale, patch_size=settings.patch, seed=settings.seed, limit=settings.limit or None
    )
    training = splits.search
    if settings.smaller_copies:
        training = with_smaller_copies(training, settings.scale, settings.patch)
    return TrialImages(training, splits.validation)
