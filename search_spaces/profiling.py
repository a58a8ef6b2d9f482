"""What NNI's profilers find in the space: the cost table of :mod:`hnas_nni.cost` as an expression.

NNI 3.0 can't follow shapes through interpolation, takes all candidates of an upsampling cell to upsample, and
has no rule for transposed convolutions and PReLU. The space therefore answers as a whole, by a sum of which each term
depends on two or three choices: NNI takes expectations of a sum term by term.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial, reduce
from itertools import product
from typing import Any

from nni.mutable import LabeledMutable, MutableExpression
from nni.nas.profiler.pytorch.flops import FlopsResult

from hnas_nni.architecture.cells import input_label, operation_label
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import PAPER, POSITION_LABEL
from hnas_nni.cost import Cost, CostTable, cost_table
from search_spaces.compat.input_pick import EdgeSource

Terms = dict[tuple[str, ...], dict[tuple[Any, ...], Cost]]
"""What each term of the sum depends on, and its value for each combination."""


def flops_result(
    choices: Mapping[str, LabeledMutable], scale: int, channels: int, layers: int, lr_size: tuple[int, int]
) -> FlopsResult:
    """Return multiply-adds and parameters of all architectures, as NNI's profilers state them.

    NNI's settings whether to count biases and activations do not apply: they are never counted.

    Parameters
    ----------
    choices
        The choices of the space by label.
    scale, channels, layers
        As for :class:`search_spaces.HNASSpace`.
    lr_size
        Height and width of the low-resolution input, in pixels.
    """
    values = {label: tuple(choice.values) for label, choice in choices.items()}
    terms = cost_terms(values, cost_table(scale, channels, layers, lr_size))
    leaves = {label: EdgeSource.of(pick) if "/input_" in label else pick for label, pick in choices.items()}
    return FlopsResult(
        _sum("multiply_adds", lambda cost: cost.macs, terms, leaves),
        _sum("parameters", lambda cost: cost.params, terms, leaves),
    )


def cost_terms(values: Mapping[str, tuple[Any, ...]], table: CostTable) -> Terms:
    """Return the cost of an architecture as a sum over its edges, read off the table of whole architectures.

    A normal edge costs by its operation and by how many blocks stand before and behind the upsampling cell, so by the
    position; an upsampling edge by its operation and the node that it reads. What is left is a term of the position.

    Parameters
    ----------
    values
        The values of each choice of the space; those of input picks are plain.
    table
        Costs of whole architectures.
    """
    reference = {label: candidates[0] for label, candidates in values.items()}

    def cost(**changes: Any) -> Cost:
        return table(Genotype.from_sample({**reference, **changes}))

    bases = {(position,): cost(**{POSITION_LABEL: position}) for position in values[POSITION_LABEL]}
    terms: Terms = {(POSITION_LABEL,): bases}
    for node, slot in PAPER.shapes["normal"].slots():
        labels = (operation_label("normal", node, slot), POSITION_LABEL)
        terms[labels] = {
            pair: _difference(cost(**dict(zip(labels, pair, strict=True))), bases[pair[1:]])
            for pair in product(*(values[label] for label in labels))
        }
        labels = (operation_label("upsampling", node, slot), input_label("upsampling", node, slot))
        terms[labels] = {
            pair: _difference(cost(**dict(zip(labels, pair, strict=True))), cost())
            for pair in product(*(values[label] for label in labels))
        }
    return terms


def _difference(cost: Cost, base: Cost) -> Cost:
    return cost + base * -1


def _sum(
    name: str, quantity: Callable[[Cost], int], terms: Terms, leaves: Mapping[str, LabeledMutable]
) -> MutableExpression[int]:
    summands = [
        MutableExpression(
            partial(_look_up, {values: quantity(cost) for values, cost in table.items()}),
            f"{name}({', '.join(['{}'] * len(labels))})",
            [leaves[label] for label in labels],
        )
        for labels, table in terms.items()
    ]
    return reduce(lambda left, right: MutableExpression(operator.add, "{} + {}", [left, right]), summands)


def _look_up(table: Mapping[tuple[Any, ...], int], *values: Any) -> int:
    return table[tuple(value[0] if isinstance(value, list) else value for value in values)]
