"""The choices of an NNI space, sorted into the levels of a controller."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from nni.mutable import Categorical, CategoricalMultiple, Mutable, MutableAnnotation

from strategies.layout import LayoutError, SpaceLayout

_MOST_SUBSETS = 1024
"""A choice of several inputs at once becomes one decision among at most so many subsets."""

LEVEL_FIELDS = ("cells", "network")


class SpaceChoices:
    """A space of NNI as a controller sees it, and the way back.

    One decision stands for each ``LayerChoice``, ``InputChoice``, depth of a ``Repeat`` and other categorical choice,
    also those of the evaluator. A choice of several inputs is one decision among the subsets. Constraints are left to
    NNI, which refuses the samples that break them.

    Parameters
    ----------
    space
        Any space of NNI.
    levels
        Which choices form which cell, and which are decided last, given the cells: ``{"cells": {"normal":
        ["normal/*"], "reduce": ["reduce/*"]}, "network": ["depth", "width"]}``. The labels may be patterns with ``*``,
        ``?`` and ``[...]``; a part may be left out. None: as :meth:`SpaceLayout.from_choices` reads it off the labels,
        ``<cell>/...`` being a cell and labels without a ``/`` the network level.

    Attributes
    ----------
    layout
        What the controller decides.

    Raises
    ------
    LayoutError
        If a choice is not categorical, or `levels` do not fit; the message names the label.
    """

    def __init__(self, space: Mutable, levels: Mapping[str, Any] | None = None) -> None:
        self._values = {
            str(label): list(_candidates(label, mutable))  # NNI's labels are of a class of their own
            for label, mutable in space.simplify().items()
            if not isinstance(mutable, MutableAnnotation)
        }
        names = {label: _names(label, values) for label, values in self._values.items()}
        network, cells = read_levels(levels, names)
        self.layout = SpaceLayout.from_choices(names, network, cells)
        self._decisions = {decision.label: decision for decision in self.layout.decisions}

    def to_nni(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample of NNI that a sample of :attr:`layout` stands for."""
        return {label: self._values[label][self._decisions[label].values.index(name)] for label, name in sample.items()}

    def from_nni(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample of :attr:`layout` for one of NNI; labels of constraints are dropped.

        Raises
        ------
        LayoutError
            If a label is missing, or a value is not a candidate.
        """
        names = {}
        for label, values in self._values.items():
            if label not in sample:
                raise LayoutError(f"{label}: missing from the sample")
            if sample[label] not in values:
                raise LayoutError(f"{label}: {sample[label]!r} is not a candidate")
            names[label] = self._decisions[label].values[values.index(sample[label])]
        return names


def read_levels(
    levels: Mapping[str, Any] | None, labels: Iterable[str]
) -> tuple[list[str] | None, dict[str, list[str]] | None]:
    """Return the labels of the network level and of each cell, patterns filled in; None for what is not given.

    Parameters
    ----------
    levels
        As for :class:`SpaceChoices`.
    labels
        The labels of the space.

    Raises
    ------
    LayoutError
        If `levels` is not of that form, or a pattern matches no label.
    """
    check_levels(levels)
    if levels is None:
        return None, None
    labels = list(labels)
    network, cells = levels.get("network"), levels.get("cells")
    return (
        None if network is None else _matching("network", network, labels),
        None
        if cells is None
        else {str(name): _matching(f"cells: {name}", given, labels) for name, given in cells.items()},
    )


def check_levels(levels: Any) -> None:
    """Check the form of `levels`, as far as that can be done without a space.

    Raises
    ------
    LayoutError
        If they are not of the form that :class:`SpaceChoices` takes.
    """
    if levels is None:
        return
    if not isinstance(levels, Mapping) or not levels or set(levels) - set(LEVEL_FIELDS):
        raise LayoutError(f'levels: {levels!r} is not valid; give {{"cells": {{name: [labels]}}, "network": [labels]}}')
    cells = levels.get("cells")
    if cells is not None and not isinstance(cells, Mapping):
        raise LayoutError(f"levels: cells: {cells!r} is not valid; give {{name: [labels]}}")
    parts = {f"cells: {name}": patterns for name, patterns in (cells or {}).items()}
    for where, patterns in ({"network": levels.get("network")} | parts).items():
        if patterns is not None or where != "network":
            _patterns(where, patterns)


def _matching(where: str, patterns: Any, labels: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in _patterns(where, patterns):
        hits = [pattern] if pattern in labels else [label for label in labels if fnmatchcase(label, pattern)]
        if not hits:
            raise LayoutError(f"levels: {where}: no choice of this space is called {pattern}")
        found += [label for label in hits if label not in found]
    return found


def _patterns(where: str, patterns: Any) -> list[str]:
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, Sequence) or not all(isinstance(pattern, str) for pattern in patterns):
        raise LayoutError(f"levels: {where}: {patterns!r} is not valid; give a list of labels")
    return list(patterns)


def _candidates(label: str, mutable: Mutable) -> Iterator[Any]:
    """Yield the values of a choice as they stand in a sample of NNI."""
    if isinstance(mutable, Categorical):
        yield from mutable.values
    elif isinstance(mutable, CategoricalMultiple):
        sizes = range(len(mutable.values) + 1) if mutable.n_chosen is None else [mutable.n_chosen]
        if sum(math.comb(len(mutable.values), size) for size in sizes) > _MOST_SUBSETS:
            raise LayoutError(f"{label}: has more than {_MOST_SUBSETS} subsets; choose fewer inputs at once")
        for size in sizes:
            yield from map(list, itertools.combinations(mutable.values, size))
    else:
        raise LayoutError(
            f"{label}: {type(mutable).__name__} is not categorical; this strategy decides among given candidates, so "
            "offer some, e.g. nni.choice"
        )


def _names(label: str, values: Sequence[Any]) -> list[Any]:
    """Return plain data that stands for the candidates: themselves, input nodes bare, or else their text."""
    if values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    if all(value is None or isinstance(value, (str, int, float)) for value in values):
        return list(values)
    return [f"{index}: {value!r}" for index, value in enumerate(values)]
