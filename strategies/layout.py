"""What a hierarchical controller decides: the choices of a space, ordered and sorted into levels.

A :class:`SpaceLayout` knows nothing of torch or of super-resolution. Any search space of categorical choices
has one; that of HNAS has two cells, ``normal`` and ``upsampling``, and one network-level choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

NETWORK_LEVEL = "network"
"""Name of the level that is decided last, after all cells."""

DecisionKind = Literal["operation", "input"]

# How nni.nas.nn.pytorch.Cell names the choices of node <node>, slot <slot>.
_CELL_LABEL = re.compile(r"(?P<kind>op|input)_(?P<node>\d+)_(?P<slot>\d+)")


class LayoutError(ValueError):
    """A search space or a sample that a controller can't decide; the message names the label."""


@dataclass(frozen=True)
class Decision:
    """One categorical choice.

    Parameters
    ----------
    label
        Name of the choice in the search space, e.g. ``normal/op_2_0``.
    values
        The candidates, in order.
    kind
        ``"input"`` picks one of the earlier nodes of a cell, and its values are their indices;
        ``"operation"`` is any other choice.
    node
        The cell's node the choice belongs to, or None outside NNI's cell naming.
    """

    label: str
    values: tuple[Any, ...]
    kind: DecisionKind = "operation"
    node: int | None = None

    def index(self, value: Any) -> int:
        """Return the index of a candidate; NNI's one-element lists of input picks are unwrapped.

        Raises
        ------
        LayoutError
            If `value` is not a candidate.
        """
        if value not in self.values and isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        try:
            return self.values.index(value)
        except ValueError:
            raise LayoutError(
                f"{self.label}: {value!r} is not a candidate; valid are {', '.join(map(repr, self.values))}"
            ) from None


@dataclass(frozen=True)
class Level:
    """Decisions that one LSTM makes one after another: a cell, or the network level."""

    name: str
    decisions: tuple[Decision, ...]


@dataclass(frozen=True)
class SpaceLayout:
    """The decisions of a search space, in the order in which they are made.

    Parameters
    ----------
    cells
        The cell levels; each is decided on its own.
    network
        The decisions made last, given all the cells. Either may be empty, not both.

    Raises
    ------
    LayoutError
        If there is nothing to decide, a label comes twice, or a level has the name of another.

    Examples
    --------
    >>> layout = SpaceLayout.from_search_space({
    ...     "cell/input_1_0": {"_type": "choice", "_value": [0]},
    ...     "cell/op_1_0": {"_type": "choice", "_value": ["conv", "pool"]},
    ...     "depth": {"_type": "randint", "_value": [1, 4]},
    ... })
    >>> [decision.label for decision in layout.decisions]
    ['cell/input_1_0', 'cell/op_1_0', 'depth']
    >>> layout.size
    6
    """

    cells: tuple[Level, ...]
    network: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        if not self.decisions:
            raise LayoutError("search space: there is nothing to decide; give at least one choice")
        names = [*(cell.name for cell in self.cells), NETWORK_LEVEL]
        for name in names:
            if names.count(name) > 1:
                raise LayoutError(
                    f"{name}: two levels have this name; name the cells apart, and none of them {NETWORK_LEVEL}"
                )
        labels = set()
        for decision in self.decisions:
            if decision.label in labels:
                raise LayoutError(f"{decision.label}: belongs to two levels; list it once")
            labels.add(decision.label)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The cells, then the network level if there is one."""
        return (*self.cells, Level(NETWORK_LEVEL, self.network)) if self.network else self.cells

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions in order; column d of a controller's tensors belongs to ``decisions[d]``."""
        return (*(decision for cell in self.cells for decision in cell.decisions), *self.network)

    @property
    def size(self) -> int:
        """Number of architectures in the space."""
        return math.prod(len(decision.values) for decision in self.decisions)

    def columns(self) -> dict[str, slice]:
        """Return the columns of each level by its name."""
        columns, start = {}, 0
        for level in self.levels:
            columns[level.name] = slice(start, start + len(level.decisions))
            start += len(level.decisions)
        return columns

    def encode(self, sample: Mapping[str, Any]) -> list[int]:
        """Return the candidate indices of a sample, one for each decision.

        Raises
        ------
        LayoutError
            If a label is missing or unknown, or a value is not a candidate.
        """
        for label in sample:
            if label not in self._labels():
                raise LayoutError(f"{label}: not a choice of this search space")
        indices = []
        for decision in self.decisions:
            if decision.label not in sample:
                raise LayoutError(f"{decision.label}: missing from the sample")
            indices.append(decision.index(sample[decision.label]))
        return indices

    def decode(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the sample, label -> value, that the candidate `indices` stand for.

        Raises
        ------
        LayoutError
            If there are not as many indices as decisions, or one is out of range.
        """
        if len(indices) != len(self.decisions):
            raise LayoutError(f"indices: got {len(indices)}, but the space has {len(self.decisions)} decisions")
        for decision, index in zip(self.decisions, indices, strict=True):
            if not 0 <= index < len(decision.values):
                raise LayoutError(f"{decision.label}: index {index} is out of range, 0..{len(decision.values) - 1}")
        return {decision.label: decision.values[index] for decision, index in zip(self.decisions, indices, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON-ready data, which tells whether a saved state is for this space."""
        return {
            level.name: [
                {"label": d.label, "values": list(d.values), "kind": d.kind, "node": d.node} for d in level.decisions
            ]
            for level in self.levels
        }

    @classmethod
    def from_search_space(
        cls,
        search_space: Mapping[str, Any],
        network_labels: Sequence[str] | None = None,
        cells: Mapping[str, Sequence[str]] | None = None,
    ) -> SpaceLayout:
        """Read the JSON search space of an nnictl experiment.

        Parameters
        ----------
        search_space
            Label -> ``{"_type": "choice", "_value": [...]}`` or ``{"_type": "randint", "_value": [low,
            high]}`` (`high` is not included).
        network_labels, cells
            Passed on to :meth:`from_choices`.

        Raises
        ------
        LayoutError
            If a parameter is nested or not categorical, or the levels can't be told apart; the message names
            the label.
        """
        if not isinstance(search_space, Mapping):
            raise LayoutError(f"search space: expected a JSON object, got {type(search_space).__name__}")
        choices = {label: _candidates(label, spec) for label, spec in search_space.items()}
        return cls.from_choices(choices, network_labels, cells)

    @classmethod
    def from_choices(
        cls,
        choices: Mapping[str, Sequence[Any]],
        network_labels: Sequence[str] | None = None,
        cells: Mapping[str, Sequence[str]] | None = None,
    ) -> SpaceLayout:
        """Sort choices into levels.

        Inside a cell the choices named as in NNI's ``Cell``, ``<cell>/input_<node>_<slot>`` and
        ``<cell>/op_<node>_<slot>``, come node by node, a node's input picks before its operations (HNAS,
        section II-C); all others follow in the order given.

        Parameters
        ----------
        choices
            Label -> candidates.
        network_labels
            Labels of the network level, in order. None: those not in `cells`; without `cells` those without
            a ``/``. A scope around the whole space, as ``model/`` in ``model/cell/op``, ``model/depth``, does not
            count.
        cells
            Name of the cell -> its labels. None: what stands before a label's last ``/`` is its cell, and
            cells come in the order of their first label. The cell of labels ``network/...`` is called ``network
            cell``, as the network level has the other name.

        Raises
        ------
        LayoutError
            If a label is unknown, in no level or in two, or has no candidates or one of them twice.
        """
        if isinstance(network_labels, str):
            network_labels = [network_labels]
        scope = _surrounding_scope(choices)
        if network_labels is None:
            listed = {label for labels in (cells or {}).values() for label in labels}
            network_labels = [
                label for label in choices if label not in listed and (cells or "/" not in label.removeprefix(scope))
            ]
        if cells is None:
            cells = _cells_by_prefix((label for label in choices if label not in set(network_labels)), scope)
        placed = [*(label for labels in cells.values() for label in labels), *network_labels]
        for label in placed:
            if label not in choices:
                raise LayoutError(f"{label}: not a choice of this search space")
        for label in choices:
            if label not in placed:
                raise LayoutError(f"{label}: belongs to no level; list it in `cells` or `network_labels`")
        return cls(
            cells=tuple(
                Level(name, _order_cell([_cell_decision(label, choices[label]) for label in labels]))
                for name, labels in cells.items()
                if labels
            ),
            network=tuple(_decision(label, choices[label]) for label in network_labels),
        )

    def _labels(self) -> set[str]:
        return {decision.label for decision in self.decisions}


def _candidates(label: str, spec: Any) -> list[Any]:
    if not isinstance(spec, Mapping) or "_type" not in spec or "_value" not in spec:
        raise LayoutError(f'{label}: expected {{"_type": ..., "_value": ...}}, got {spec!r}')
    kind, values = spec["_type"], spec["_value"]
    if kind not in ("choice", "randint"):
        raise LayoutError(f'{label}: "{kind}" is not categorical; this controller decides "choice" and "randint"')
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise LayoutError(f"{label}: _value must be a list, got {values!r}")
    if kind == "choice":
        return list(values)
    if len(values) != 2:
        raise LayoutError(f"{label}: randint takes [low, high], got {values!r}")
    return list(range(math.ceil(values[0]), math.ceil(values[1])))


def _decision(label: str, values: Sequence[Any]) -> Decision:
    values = tuple(values)
    if not values:
        raise LayoutError(f"{label}: has no candidates")
    if any(isinstance(value, Mapping) for value in values):
        raise LayoutError(f"{label}: nested choices are not supported; give each choice a label of its own")
    for index, value in enumerate(values):
        if value in values[:index]:
            raise LayoutError(f"{label}: candidate {value!r} comes twice")
    return Decision(label, values)


def _cell_decision(label: str, values: Sequence[Any]) -> Decision:
    decision = _decision(label, values)
    match = _CELL_LABEL.fullmatch(label.rpartition("/")[2])
    if match is None:
        return decision
    node = int(match["node"])
    if match["kind"] == "op":
        return Decision(label, decision.values, "operation", node)
    if all(type(value) is int and 0 <= value < node for value in decision.values):
        return Decision(label, decision.values, "input", node)
    return decision


def _order_cell(decisions: list[Decision]) -> tuple[Decision, ...]:
    def order(decision: Decision) -> tuple[int, int, bool, int]:
        if decision.node is None:
            return 1, 0, False, 0
        slot = int(decision.label.rpartition("_")[2])
        return 0, decision.node, decision.kind == "operation", slot

    return tuple(sorted(decisions, key=order))


def _surrounding_scope(labels: Iterable[str]) -> str:
    """Return the scope around all labels, with its slash, if some stand directly in it and some in cells of it."""
    scopes = {label.partition("/")[0] + "/" if "/" in label else "" for label in labels}
    scope = scopes.pop() if len(scopes) == 1 else ""
    nested = {"/" in label.removeprefix(scope) for label in labels}
    return scope if nested == {True, False} else ""


def _cells_by_prefix(labels: Iterable[str], scope: str) -> dict[str, list[str]]:
    cells: dict[str, list[str]] = {}
    for label in labels:
        cell, slash, _ = label.removeprefix(scope).rpartition("/")
        if not slash:
            raise LayoutError(f"{label}: belongs to no level; list it in `cells` or `network_labels`")
        cells.setdefault(f"{cell} cell" if cell == NETWORK_LEVEL else cell, []).append(label)
    return cells
