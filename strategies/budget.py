"""What a budget leaves of a search space: for every decision the candidates that can still be afforded.

The cost of an architecture is a sum: the network level's choices say what an edge costs, and each edge costs by its
operation, in the upsampling cell also by whether it reads an input of the cell. So the cheapest way to go on from any
choices made so far is known exactly, and a candidate is left out if even that costs more than the budget. Whatever is
left has an architecture behind it: a controller that is shown it proposes nothing above the budget, and never gets
stuck.

In the efficient space the first node of a cell reads the block before it. A cell of which no node does leaves that
block without a use, and of all others the nodes can be numbered so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hnas_nni.architecture.cells import INPUT_NODES, LAST_BLOCK, input_label, operation_label
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import DEPTH_LABEL, EFFICIENT, PAPER, POSITION_LABEL, WIDTH_LABEL, Space
from hnas_nni.cost import Cost, PartCosts
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.pricing import costs_under
from strategies.layout import Decision, LayoutError, SpaceLayout


def affordable_choices(layout: SpaceLayout, budget: Budget | None) -> AffordableChoices | None:
    """Return what a budget leaves of a space; None if there is nothing to leave out.

    In the efficient space positions behind the last block and blocks without a use are left out without a budget too.
    """
    if budget is None:
        if _known_space(layout) is not EFFICIENT:
            return None
        budget = Budget()
    return AffordableChoices(layout, budget)


class AffordableChoices:
    """The candidates of a space that a budget leaves, decision by decision.

    Parameters
    ----------
    layout
        The decisions, those of :class:`search_spaces.HNASSpace`.
    budget
        The budget.

    Raises
    ------
    LayoutError
        If the space is another one, or nothing in it fits the budget.
    """

    def __init__(self, layout: SpaceLayout, budget: Budget) -> None:
        self.layout = layout
        self.budget = budget
        space = _space(layout)
        self._combinations = _network_combinations(layout, budget)
        table = costs_under(budget)
        parts = [table.parts(space, width) for _, width, _ in self._combinations]
        self._limits = _limits(budget)
        self._steps: list[_Step] = []
        self._least = self._tensor([_fixed_cost(part, *sizes) for part, sizes in self._each(parts)])
        edges = {
            operation_label(cell, node, slot): (cell, input_label(cell, node, slot))
            for cell, shape in space.shapes.items()
            for node, slot in shape.slots()
        }
        reads: dict[str, int] = {}
        for column, decision in enumerate(layout.decisions):
            if decision.label in edges:
                cell, source = edges[decision.label]
                picked = reads[source] if cell == "upsampling" else None
                step = self._operation_step(cell, decision.values, parts, picked)
            elif decision.kind == "input":
                reads[decision.label] = column
                step = _Step(useful=_useful_sources(space, decision))
            else:
                step = _Step(values=self._values(decision.label, decision.values))
            self._steps.append(step)
        for decision, step in zip(layout.decisions, self._steps, strict=True):
            if step.costs is not None:
                self._least = self._least + step.costs.amin((0, 1))
                if not _one_is_cheapest(step.costs):
                    raise LayoutError(
                        f"{decision.label}: no candidate is the cheapest by all budgets; give one budget alone"
                    )
        # What the pick of an input decides: which half of the costs of its edge's operation is left.
        for step in self._steps:
            if step.costs is not None and step.source is not None:
                self._steps[step.source].reads_for = step
        affordable = self._affordable(self._least)
        if not bool(affordable.any()):
            raise LayoutError(self._refusal(self._least))
        self._forget(~affordable)

    def start(self, n: int) -> Tensor:
        """Return the state of n architectures of which nothing is decided: (n, bounds, combinations)."""
        return self._least.expand(n, -1, -1)

    def allowed(self, state: Tensor, column: int, choices: Sequence[Tensor]) -> Tensor:
        """Return which candidates of a decision can still be afforded, (n, k).

        Parameters
        ----------
        state
            From :meth:`start` and :meth:`advance`.
        column
            The decision.
        choices
            What was picked so far, one (n,) for each decision before this one.
        """
        affordable = self._affordable(self._options(state, column, choices)).any(-1)
        useful = self._steps[column].useful
        return affordable if useful is None else affordable & useful

    def advance(self, state: Tensor, column: int, choices: Sequence[Tensor], picked: Tensor) -> Tensor:
        """Return the state once a decision is `picked`, (n,)."""
        options = self._options(state, column, choices)
        return options[torch.arange(len(picked)), picked]

    def contains(self, choices: Tensor) -> Tensor:
        """Return which architectures (n, D) are left: they fit the budget and have a use for every block; (n,)."""
        state = self.start(len(choices))
        left = torch.ones(len(choices), dtype=torch.bool)
        before: list[Tensor] = []
        for column, picked in enumerate(choices.T.cpu()):
            useful = self._steps[column].useful
            left = left if useful is None else left & useful[picked]
            state = self.advance(state, column, before, picked)
            before.append(picked)
        return left & self._affordable(state).any(-1)

    def enumerate(self) -> Iterator[tuple[int, ...]]:
        """Yield all architectures that are left, as candidate indices, in counting order."""

        def walk(state: Tensor, before: list[Tensor]) -> Iterator[tuple[int, ...]]:
            column = len(before)
            if column == len(self._steps):
                yield tuple(int(picked) for picked in before)
                return
            for index in torch.nonzero(self.allowed(state, column, before)[0])[:, 0]:
                picked = index[None]
                yield from walk(self.advance(state, column, before, picked), [*before, picked])

        yield from walk(self.start(1), [])

    def _options(self, state: Tensor, column: int, choices: Sequence[Tensor]) -> Tensor:
        """Return the least costs for each candidate of a decision, (n, k, bounds, combinations)."""
        step = self._steps[column]
        state = state[:, None]
        if step.values is not None:
            return torch.where(step.values[:, None], state, torch.inf)
        if step.costs is not None:
            if step.source is None:
                return state + (step.costs[0] - step.costs[0].amin(0))
            halves = step.costs - step.costs.amin(1, keepdim=True)
            return state + halves[self._half_read(step.source)[choices[step.source].cpu()]]
        if step.reads_for is not None and step.reads_for.costs is not None:
            costs = step.reads_for.costs
            more = costs.amin(1) - costs.amin((0, 1))
            return state + more[self._half_read(column)]
        return state.expand(-1, len(self.layout.decisions[column].values), -1, -1)

    def _half_read(self, column: int) -> Tensor:
        """Return for each candidate of an input pick which half of its operation's costs it leaves, (k,)."""
        return torch.tensor([int(node >= INPUT_NODES) for node in self.layout.decisions[column].values])

    def _affordable(self, costs: Tensor) -> Tensor:
        """Return which combinations fit all bounds, from (..., bounds, combinations)."""
        return (costs <= self._limits[:, None]).all(-2)

    def _forget(self, combinations: Tensor) -> None:
        """Drop combinations of the network level that no cells can bring within the budget."""
        kept = ~combinations
        self._least = self._least[:, kept]
        for step in self._steps:
            step.costs = None if step.costs is None else step.costs[..., kept]
            step.values = None if step.values is None else step.values[:, kept]

    def _each(self, parts: Sequence[PartCosts]) -> Iterator[tuple[PartCosts, tuple[int, int]]]:
        """Yield for each combination what its parts cost, and depth and position."""
        for part, (depth, _, position) in zip(parts, self._combinations, strict=True):
            yield part, (depth, position)

    def _operation_step(
        self, cell: str, operations: Sequence[str], parts: Sequence[PartCosts], source: int | None
    ) -> _Step:
        if source is None:
            return _Step(costs=self._operation_costs(cell, operations, parts, reads_input=True)[None])
        # Not what no candidate of the pick leads to: every node but the first can read an intermediate one.
        reads = sorted({int(half) for half in self._half_read(source)})
        halves = [self._operation_costs(cell, operations, parts, reads_input=half == 0) for half in reads]
        return _Step(costs=torch.stack(halves), source=source if len(reads) > 1 else None)

    def _operation_costs(
        self, cell: str, operations: Sequence[str], parts: Sequence[PartCosts], reads_input: bool
    ) -> Tensor:
        """Return what an edge costs by its operation, (k, bounds, combinations)."""
        rows = []
        for operation in operations:
            costs = []
            for part, (depth, position) in self._each(parts):
                if cell == "normal":
                    low, high = part.normal(operation, high=False), part.normal(operation, high=True)
                    costs.append(low * (position - 1) + high * (depth - position))
                else:
                    costs.append(part.upsampling(operation, reads_input, last=position == depth))
            rows.append(self._tensor(costs))
        return torch.stack(rows)

    def _values(self, label: str, values: Sequence[Any]) -> Tensor:
        """Return which combinations have each value of a decision of the network level, (k, combinations)."""
        place = (DEPTH_LABEL, WIDTH_LABEL, POSITION_LABEL).index(label)
        return torch.tensor([[combination[place] == value for combination in self._combinations] for value in values])

    def _tensor(self, costs: Sequence[Cost]) -> Tensor:
        """Return costs as numbers of the bounds that there are, (bounds, combinations).

        Multiply-adds and parameters are exact below 2^53.
        """
        rows: list[list[float]] = []
        if self.budget.gmacs is not None:
            rows.append([cost.macs for cost in costs])
        if self.budget.params is not None:
            rows.append([cost.params for cost in costs])
        if self.budget.milliseconds is not None:
            rows.append([cost.milliseconds for cost in costs])
        if not rows:  # a bound that all are within, but for a position behind the depth
            rows.append([0] * len(costs))
        return torch.tensor(rows, dtype=torch.float64).reshape(-1, len(costs))

    def _refusal(self, least: Tensor) -> str:
        cheapest = []
        rows = iter(least)
        if self.budget.gmacs is not None:
            cheapest.append(f"{float(next(rows).min()) / 1e9:.3g} GMAC")
        if self.budget.params is not None:
            cheapest.append(f"{int(next(rows).min()):,} parameters")
        if self.budget.milliseconds is not None:
            cheapest.append(f"{float(next(rows).min()):.3g} ms")
        return f"budget: nothing fits {self.budget}; the cheapest has {' and '.join(cheapest)}, so give more"


@dataclass
class _Step:
    """What a decision does to the least cost.

    An operation's `costs` are of shape (1 or 2, k, bounds, combinations): for an edge that reads an input of the cell
    and for one that reads an intermediate node, which the pick in column `source` tells. A decision of the network
    level leaves combinations over: `values`, (k, combinations). The pick of an input `reads_for` an operation; which
    picks are `useful` whatever they cost, (k,), is None for all.
    """

    costs: Tensor | None = None
    source: int | None = None
    values: Tensor | None = None
    reads_for: _Step | None = None
    useful: Tensor | None = None


def _useful_sources(space: Space, decision: Decision) -> Tensor | None:
    if space is not EFFICIENT or decision.node != INPUT_NODES or LAST_BLOCK not in decision.values:
        return None
    return torch.tensor([source == LAST_BLOCK for source in decision.values])


def _space(layout: SpaceLayout) -> Space:
    space = _known_space(layout)
    if space is None:
        raise LayoutError("budget: only the spaces of HNASSpace have a cost that is known; leave it out for this one")
    return space


def _known_space(layout: SpaceLayout) -> Space | None:
    """Return the space of a layout; None if it is none of ours."""
    labels = {decision.label for decision in layout.decisions}
    operations = [value for d in layout.decisions if d.kind == "operation" and d.node is not None for value in d.values]
    known = [OPERATIONS[value].space for value in operations if value in OPERATIONS]
    space = known[0] if known else PAPER
    if len(known) != len(operations) or not labels >= {*space.cell_labels(), POSITION_LABEL}:
        return None
    return space


def _network_combinations(layout: SpaceLayout, budget: Budget) -> list[tuple[int, int, int]]:
    """Return what the network level can choose: depth, width and position, the position in 1..depth."""
    values = {decision.label: decision.values for decision in layout.network}
    depths = values.get(DEPTH_LABEL, (budget.layers,))
    widths = values.get(WIDTH_LABEL, (budget.channels,))
    return [
        combination
        for combination in itertools.product(depths, widths, values[POSITION_LABEL])
        if combination[2] <= combination[0]
    ]


def _fixed_cost(parts: PartCosts, depth: int, position: int) -> Cost:
    behind = depth - position
    return parts.ends(last=not behind) + parts.block(high=False) * position + parts.block(high=True) * behind


def _one_is_cheapest(costs: Tensor) -> bool:
    """Whether one of an edge's operations (halves, k, bounds, combinations) is the cheapest by all bounds at once.

    In each half, and of both halves together.
    """
    in_half = (costs == costs.amin(1, keepdim=True)).all(2).any(1).all()
    of_all = (costs == costs.amin((0, 1))).all(2).any(1).any(0).all()
    return bool(in_half and of_all)


def _limits(budget: Budget) -> Tensor:
    # Sums of milliseconds are rounded, each way to the same sum a little otherwise; none may come out above.
    milliseconds = None if budget.milliseconds is None else budget.milliseconds * (1 - 1e-9)
    bounds = [None if budget.gmacs is None else budget.gmacs * 1e9, budget.params, milliseconds]
    return torch.tensor([bound for bound in bounds if bound is not None] or [0.0], dtype=torch.float64)
