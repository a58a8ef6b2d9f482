"""The images of a trial, decoded once where one process makes many trials out of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnas_nni.settings import EMBEDDED
from hnas_nni.trial.settings import TrialSettings

if TYPE_CHECKING:
    from hnas_nni.data.splits import Splits

_kept: dict[TrialSettings, Splits] = {}


def splits_of(settings: TrialSettings) -> Splits:
    """Return the images that a trial trains and measures on.

    Raises
    ------
    hnas_nni.data.DataError
        See :func:`hnas_nni.data.load_splits`.
    """
    return _kept.get(settings) or _load(settings)


def keep_splits(settings: TrialSettings) -> None:
    """Decode the images of the trials to come, if they are the photographs that come along: a folder may change."""
    if settings.data == EMBEDDED and settings not in _kept:
        _kept.clear()
        _kept[settings] = _load(settings)


def _load(settings: TrialSettings) -> Splits:
    from hnas_nni.data import load_splits

    return load_splits(
        settings.data, settings.scale, patch_size=settings.patch, seed=settings.seed, limit=settings.limit or None
    )
