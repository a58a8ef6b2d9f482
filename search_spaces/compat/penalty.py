"""The expected cost of a supernet of DARTS, GumbelDARTS or Proxyless, with a gradient for the choices' weights."""

from __future__ import annotations

import operator
from functools import reduce
from itertools import product
from typing import Any

import torch
from nni.mutable import MutableExpression
from nni.nas.oneshot.pytorch.profiler import ExpectationProfilerPenalty
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedCell

from hnas_nni.architecture.cells import input_label, operation_label
from hnas_nni.architecture.spaces import PAPER, POSITION_LABEL

Distribution = dict[tuple[str, ...], dict[tuple[Any, ...], torch.Tensor]]
"""Independent groups of choices, and the probability of each combination of their values."""


def mend_penalty(penalty: ExpectationProfilerPenalty | None, space: Any) -> None:
    """Let a penalty of NNI reach the weights of a supernet of the space.

    NNI 3.0 asks the supernet for its probabilities as plain numbers, so that the penalty has no gradient and changes
    nothing that is searched; of cells they are those of NNI's own edges and not of the choices, so that a profiler's
    expression misses its labels. This mend makes the one penalty that it is given take the expectation over the
    tensors themselves. It applies to all of NNI 3.0, the last release.

    Parameters
    ----------
    penalty
        The penalty of the strategy, None for nothing to do.
    space
        The :class:`search_spaces.HNASSpace` that the strategy makes its supernet of.
    """
    if penalty is None:
        return

    def profile(sample: Any) -> torch.Tensor:
        return expectation(penalty.profiler.expression, supernet_distribution(space))

    penalty.profile = profile


def supernet_distribution(space: Any) -> Distribution:
    """Return how likely each choice of a supernet with weights is, as tensors with a gradient.

    In the cells of DARTS and GumbelDARTS each pair of nodes weighs its operations, and none, on its own; every edge of
    a node reads one of these pairs in proportion to the weights, none left out. In those of Proxyless each choice is
    independent.

    Parameters
    ----------
    space
        A :class:`search_spaces.HNASSpace` that a strategy has made a supernet of.
    """
    blocks = space.blocks
    positions = blocks.position.values
    shares = torch.softmax(blocks._arch_alpha, -1)
    distribution: Distribution = {
        (POSITION_LABEL,): {(position,): share for position, share in zip(positions, shares, strict=True)}
    }
    for name in PAPER.cells:
        # All cells of a kind share their weights.
        cell = getattr(blocks, name)[0]
        for node, slot in PAPER.shapes[name].slots():
            labels = operation_label(name, node, slot), input_label(name, node, slot)
            if isinstance(cell, DifferentiableMixedCell):
                edge = _edge_of_mixed_cell(cell, node)
            else:
                operations, sources = (torch.softmax(cell._arch_alpha[label], -1) for label in labels)
                edge = operations[:, None] * sources
            pairs = product(cell.op_names, range(node))
            distribution[labels] = dict(zip(pairs, edge.flatten(), strict=True))
    return distribution


def _edge_of_mixed_cell(cell: Any, node: int) -> torch.Tensor:
    """Return the probability of each operation (rows) and source (columns) of an edge."""
    count = len(cell.op_names)
    weights = [torch.softmax(cell._arch_alpha[f"{cell.label}/{node}_{source}"], -1)[:count] for source in range(node)]
    table = torch.stack(weights, dim=1)
    return table / table.sum()


def expectation(expression: Any, distribution: Distribution) -> torch.Tensor:
    """Return the mean of an expression of the space's choices.

    Sums are taken term by term; any other term may depend on some few choices only, whose combinations are gone
    through.

    Parameters
    ----------
    expression
        A number, or an expression whose leaves have the labels of `distribution`.
    distribution
        How likely the values are.
    """
    if not isinstance(expression, MutableExpression):
        return torch.as_tensor(float(expression))
    if expression.function is operator.add:
        left, right = expression.arguments
        return expectation(left, distribution) + expectation(right, distribution)
    own = set(expression.simplify())
    factors = [_marginal(labels, table, own) for labels, table in distribution.items() if own & set(labels)]
    values = []
    for combination in product(*(samples for samples, _ in factors)):
        sample: dict[str, Any] = {}
        for part in combination:
            sample |= part
        values.append(float(expression.evaluate(sample)))
    joint = reduce(lambda left, right: torch.outer(left, right).flatten(), (shares for _, shares in factors))
    return joint @ joint.new_tensor(values)


def _marginal(
    labels: tuple[str, ...], table: dict[tuple[Any, ...], torch.Tensor], own: set[str]
) -> tuple[list[dict[str, Any]], torch.Tensor]:
    """Return the samples of those labels that an expression has, and how likely each of them is."""
    kept = [index for index, label in enumerate(labels) if label in own]
    shares: dict[tuple[Any, ...], torch.Tensor] = {}
    for values, share in table.items():
        key = tuple(values[index] for index in kept)
        shares[key] = shares[key] + share if key in shares else share
    samples = [dict(zip((labels[index] for index in kept), key, strict=True)) for key in shares]
    return samples, torch.stack(list(shares.values()))
