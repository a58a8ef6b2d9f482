"""Settings of trials, trainings and searches, each stated once; free of torch, so that they are checked early.

A :class:`Setting` says what a setting is, what it may be, and how its option looks. A dataclass of :class:`Settings`
has one line for each of its settings, with its default. What several classes have is in
:mod:`hnas_nni.settings.shared`; :mod:`hnas_nni.settings.options` makes the command-line options.
"""

from hnas_nni.settings.setting import Setting, Settings
from hnas_nni.settings.shared import (
    CROP_SIZE,
    EMBEDDED,
    FIRST_WEIGHTS,
    JPEG_QUALITY,
    MAX_MEGAPIXELS,
    SCALES,
    check_scale,
)

__all__ = [
    "CROP_SIZE",
    "EMBEDDED",
    "FIRST_WEIGHTS",
    "JPEG_QUALITY",
    "MAX_MEGAPIXELS",
    "SCALES",
    "Setting",
    "Settings",
    "check_scale",
]
