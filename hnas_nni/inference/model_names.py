"""What models are called in tables and pictures: by their files, or as the user wishes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

BICUBIC = "bicubic"
"""Name of the model that needs no file."""

_SUFFIX = ".safetensors"
_OF_EVERY_TRAINING = frozenset({"best", "last"})
"""``hnas train`` calls its files so, whatever it trains; the folder tells which training it was."""

_NOT_MODELS = frozenset({"LR", "HR", BICUBIC})
"""What stands beside the models of a comparison."""


class NamedModel(NamedTuple):
    """A model as it is given on the command line.

    Parameters
    ----------
    file
        Its file, or ``"bicubic"``.
    name
        What the user wants it to be called, if anything.
    """

    file: str
    name: str | None = None


def parse_model(text: str) -> NamedModel:
    """Take apart ``NAME=FILE``; a file of which this is the path, or a name with a slash in it, is all file.

    Raises
    ------
    ValueError
        If the name is that of something else.
    """
    name, equals, file = text.partition("=")
    if not (name and equals and file) or "/" in name or os.path.exists(text):
        return NamedModel(text)
    if name in _NOT_MODELS and name != file:
        raise ValueError(f"{text}: {name} is what stands beside the models; give another name")
    return NamedModel(file, name)


def model_name(file: str | os.PathLike[str]) -> str:
    """Return the name of a model: its file's without the ending, or for files of ``hnas train`` their folder's."""
    stem = _stem(file)
    return _folder_name(file) or stem if stem in _OF_EVERY_TRAINING else stem


def distinct_names(models: Sequence[NamedModel]) -> list[str]:
    """Return a name for each model; those that would be called alike get the folder's too, or else the whole path.

    Raises
    ------
    ValueError
        If the user gives a name twice.
    """
    given = Counter(model.name for model in models if model.name is not None)
    for name, times in given.items():
        if times > 1:
            raise ValueError(f"{name}: the name of two models; give different ones")
    names = [model.name or model_name(model.file) for model in models]
    for longer in (_with_folder, str):
        times_called = Counter(names)
        names = [
            longer(model.file)
            if model.name is None and model.file != BICUBIC and (times_called[name] > 1 or name in _NOT_MODELS)
            else name
            for name, model in zip(names, models, strict=True)
        ]
    return names


def _folder_name(file: str | os.PathLike[str]) -> str:
    return Path(os.path.realpath(file)).parent.name  # resolve() raises RuntimeError at links in a circle


def _stem(file: str | os.PathLike[str]) -> str:
    return Path(file).name.removesuffix(_SUFFIX)


def _with_folder(file: str) -> str:
    return f"{_folder_name(file)}/{_stem(file)}"
