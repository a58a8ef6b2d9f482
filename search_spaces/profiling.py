"""What NNI's profilers find in the space: the cost table of :mod:`hnas_nni.cost` as an expression.

NNI 3.0 can't follow shapes through interpolation, takes all candidates of an upsampling cell to upsample, and
has no rule for transposed convolutions and PReLU. The space therefore answers as a whole, by a sum of which each term
depends on few choices: NNI takes expectations of a sum term by term.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial, reduce
from itertools import product
from typing import Any

from nni.mutable import LabeledMutable, MutableExpression
from nni.nas.profiler.pytorch.flops import FlopsResult

from hnas_nni.architecture.cells import INPUT_NODES, input_label, operation_label
from hnas_nni.architecture.spaces import DEPTH_LABEL, PAPER, POSITION_LABEL, WIDTH_LABEL, Space
from hnas_nni.cost import Cost, CostTable, PartCosts, cost_table
from search_spaces.compat.input_pick import EdgeSource

Terms = dict[tuple[str, ...], dict[tuple[Any, ...], Cost]]
"""What each term of the sum depends on, and its value for each combination."""


def flops_result(
    space: Space,
    choices: Mapping[str, LabeledMutable],
    scale: int,
    channels: int,
    layers: int,
    lr_size: tuple[int, int],
) -> FlopsResult:
    """Return multiply-adds and parameters of all architectures, as NNI's profilers state them.

    NNI's settings whether to count biases and activations do not apply: they are never counted.

    Parameters
    ----------
    space
        The search space.
    choices
        Its choices by label.
    scale, channels, layers
        As for :class:`search_spaces.HNASSpace`; of no effect where they are among the choices.
    lr_size
        Height and width of the low-resolution input, in pixels.
    """
    values = {label: tuple(choice.values) for label, choice in choices.items()}
    terms = cost_terms(space, values, cost_table(scale, channels, layers, lr_size))
    leaves = {label: EdgeSource.of(pick) if "/input_" in label else pick for label, pick in choices.items()}
    return FlopsResult(
        _sum("multiply_adds", lambda cost: cost.macs, terms, leaves),
        _sum("parameters", lambda cost: cost.params, terms, leaves),
    )


def cost_terms(space: Space, values: Mapping[str, tuple[Any, ...]], table: CostTable) -> Terms:
    """Return the cost of an architecture as a sum over its edges, each term with the choices that it depends on.

    A normal edge costs by its operation and by how many blocks stand before and behind the upsampling cell, so by the
    position, and by depth and width where they are searched; an upsampling edge by its operation and the node that it
    reads, and in the efficient space by whether the image follows. What is left is a term of the network level.

    Parameters
    ----------
    space
        The search space.
    values
        The values of each choice of the space; those of input picks are plain.
    table
        Costs of whole architectures; its channels and layers are those that are not searched.
    """
    level = tuple(label for label in (DEPTH_LABEL, WIDTH_LABEL, POSITION_LABEL) if label in values)

    def network(chosen: Mapping[str, Any]) -> tuple[PartCosts, int, int]:
        """Return what the parts cost, and how many blocks stand before and behind the upsampling cell."""
        depth = chosen.get(DEPTH_LABEL, table.layers)
        position = min(chosen[POSITION_LABEL], depth)  # as Genotype.from_sample takes it
        return table.parts(space, chosen.get(WIDTH_LABEL, table.channels)), position - 1, depth - position

    def ends_and_blocks(chosen: Mapping[str, Any]) -> Cost:
        parts, before, behind = network(chosen)
        blocks = parts.block(high=False) * (before + 1) + parts.block(high=True) * behind
        return parts.ends(not behind) + blocks

    def normal_edge(label: str, chosen: Mapping[str, Any]) -> Cost:
        parts, before, behind = network(chosen)
        return parts.normal(chosen[label], high=False) * before + parts.normal(chosen[label], high=True) * behind

    def upsampling_edge(label: str, source: str, chosen: Mapping[str, Any]) -> Cost:
        parts, _, behind = network({**first, **chosen})
        return parts.upsampling(chosen[label], chosen[source] < INPUT_NODES, not behind)

    def tabulate(labels: tuple[str, ...], cost: Callable[[Mapping[str, Any]], Cost]) -> None:
        combinations = product(*(values[label] for label in labels))
        terms[labels] = {picked: cost(dict(zip(labels, picked, strict=True))) for picked in combinations}

    terms: Terms = {}
    tabulate(level, ends_and_blocks)
    for node, slot in space.shapes["normal"].slots():
        operation = operation_label("normal", node, slot)
        tabulate((operation, *level), partial(normal_edge, operation))
    # In the paper's space an upsampling edge costs the same wherever its cell stands.
    above = () if space is PAPER else level
    first = {label: values[label][0] for label in level}
    for node, slot in space.shapes["upsampling"].slots():
        operation, source = operation_label("upsampling", node, slot), input_label("upsampling", node, slot)
        tabulate((operation, source, *above), partial(upsampling_edge, operation, source))
    return terms


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
