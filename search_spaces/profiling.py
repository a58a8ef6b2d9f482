"""What NNI's profilers find in the space: the cost table of :mod:`hnas_nni.cost` as an expression.

NNI 3.0 can't follow shapes through interpolation, takes all candidates of an upsampling cell to upsample, and
has no rule for transposed convolutions and PReLU. The space therefore answers as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nni.mutable import LabeledMutable, MutableExpression
from nni.nas.profiler.pytorch.flops import FlopsResult

from hnas_nni.cost import Cost, CostTable, cost_table
from hnas_nni.genotype import Genotype


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
    table = cost_table(scale, channels, layers, lr_size)
    return FlopsResult(
        _expression("multiply_adds", lambda cost: cost.macs, table, choices),
        _expression("parameters", lambda cost: cost.params, table, choices),
    )


def _expression(
    name: str, quantity: Callable[[Cost], int], table: CostTable, choices: Mapping[str, LabeledMutable]
) -> MutableExpression[int]:
    template = f"{name}({', '.join(['{}'] * len(choices))})"
    return MutableExpression(partial(_evaluate, quantity, table, tuple(choices)), template, list(choices.values()))


def _evaluate(quantity: Callable[[Cost], int], table: CostTable, labels: tuple[str, ...], *values: Any) -> int:
    return quantity(table(Genotype.from_sample(dict(zip(labels, values, strict=True)))))
