"""Values that settings of trials, trainings and searches may have; free of torch, so that they are checked early."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = "photos"
"""Stands in place of a folder: photographs that scikit-image and scikit-learn bring along, so nothing is downloaded."""

JPEG_QUALITY = 95
"""Of JPEG and WebP files."""

MAX_MEGAPIXELS = 250
"""The largest picture that is accepted: a small file can hold one that fills the memory."""

CROP_SIZE = 64
"""Side of the detail that is looked for in a comparison, in HR pixels."""

FIRST_WEIGHTS = ("interpolation", "torch")
"""Weights that a training starts from: :func:`hnas_nni.network.first_weights.interpolate`, or torch's random ones."""


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise ValueError if `value` is not among the valid ones.

    Parameters
    ----------
    name
        Of the setting, as the user gives it.
    value
        What was given.
    valid
        What may be given.
    """
    if value not in valid:
        raise ValueError(f"{name}: {value!r} is not valid; give one of {', '.join(valid)}")


def check_seed(name: str, value: int) -> None:
    """Raise ValueError unless a seed is one that all generators take, 0 to 2^32 - 1.

    Parameters
    ----------
    name
        Of the setting, as the user gives it.
    value
        What was given.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise ValueError(f"{name}: {value!r} is not valid; give a whole number from 0 to {2**32 - 1}")


def absolute_images(source: str) -> str:
    """Return a source of images so that it is found from any folder: :data:`EMBEDDED`, or an absolute path."""
    return source if source == EMBEDDED else str(Path(source).expanduser().resolve())


def check_images(name: str, source: str | None) -> None:
    """Raise ValueError if a source of images is neither :data:`EMBEDDED` nor a folder; None, nothing, is accepted.

    Parameters
    ----------
    name
        Of the setting, as the user gives it.
    source
        What was given.
    """
    if source not in (None, EMBEDDED) and not Path(source).is_dir():
        raise ValueError(f'{name}: {source}: no such folder; give a folder of images, or "{EMBEDDED}"')
