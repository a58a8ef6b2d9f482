"""Parts of our search spaces that are small enough to count out in full, with what each architecture costs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from small_spaces import choice

from hnas_nni import HNAS_A, Genotype
from hnas_nni.cost import Cost, CostTable
from hnas_nni.trial.budget import Budget
from strategies.layout import SpaceLayout

Choices = tuple[int, ...]


@dataclass(frozen=True)
class CountedSpace:
    """A space, counted out.

    Parameters
    ----------
    layout
        Its decisions.
    table
        Costs of its networks.
    """

    layout: SpaceLayout
    table: CostTable

    @cached_property
    def costs(self) -> dict[Choices, Cost]:
        """What each architecture costs, by candidate indices; a position behind the depth is none."""
        found = {}
        for choices in itertools.product(*(range(len(decision.values)) for decision in self.layout.decisions)):
            sample = self.layout.decode(choices)
            if sample["upsample_position"] <= sample.get("depth", self.table.layers):
                found[choices] = self.table(Genotype.from_sample(sample))
        return found

    def within(self, budget: Budget) -> list[Choices]:
        """The architectures that cost at most a budget, in counting order."""
        return [
            choices
            for choices, cost in self.costs.items()
            if (budget.gmacs is None or cost.macs <= budget.gmacs * 1e9)
            and (budget.params is None or cost.params <= budget.params)
            and (budget.milliseconds is None or cost.milliseconds <= budget.milliseconds)
        ]

    def budget(self, share: float, *, macs: bool = True, params: bool = False) -> Budget:
        """A budget that about a share of the architectures fit, by each bound, for networks of these sizes."""
        place = round(share * (len(self.costs) - 1))
        return Budget(
            sorted(cost.macs for cost in self.costs.values())[place] / 1e9 if macs else None,
            sorted(cost.params for cost in self.costs.values())[place] if params else None,
            scale=self.table.scale,
            channels=self.table.channels,
            layers=self.table.layers,
        )

    def tensor(self, choices: list[Choices]) -> torch.Tensor:
        """Candidate indices (n, D)."""
        return torch.tensor(choices).reshape(len(choices), len(self.layout.decisions))


EFFICIENT = {
    "normal/input_2_0": choice(1),
    "normal/op_2_0": choice("skip", "conv_3x3"),
    "normal/input_3_0": choice(2),
    "normal/op_3_0": choice("collapsible_3x3", "skip"),
    "normal/input_4_0": choice(0, 3),
    "normal/op_4_0": choice("conv_3x3"),
    "upsampling/input_2_0": choice(1),
    "upsampling/op_2_0": choice("sub_pixel_3x3", "sub_pixel_1x1"),
    "upsampling/input_3_0": choice(0, 2),
    "upsampling/op_3_0": choice("sub_pixel_3x3", "sub_pixel_1x1"),
    "depth": choice(2, 4),
    "width": choice(8, 12, 20),
    "upsample_position": choice(1, 2, 3, 4),
}
"""A part of the efficient space, as nnictl's JSON has it."""


def efficient_space(**differing: object) -> CountedSpace:
    """A part of the efficient space; with depths and widths, or other choices, by label."""
    return CountedSpace(SpaceLayout.from_search_space({**EFFICIENT, **differing}), CostTable(2))


def paper_space(layers: int = 3) -> CountedSpace:
    """HNAS-A and what differs from it in some edges, of L blocks and C = 4."""
    space = {label: choice(pick[0] if isinstance(pick, list) else pick) for label, pick in HNAS_A.to_sample().items()}
    space["normal/op_2_0"] = choice("identity", "rcab", "up_down_projection")
    space["normal/op_5_1"] = choice("sep_conv_3x3", "identity")
    space["upsampling/op_2_1"] = choice("deconv", "bilinear")
    space["upsampling/input_4_0"] = choice(1, 3)
    space["upsampling/op_4_0"] = choice("subpixel", "area", "deconv")
    space["upsampling/input_5_1"] = choice(2, 0)
    space["upsampling/op_5_1"] = choice("nearest", "subpixel")
    space["upsample_position"] = choice(*range(1, layers + 1))
    return CountedSpace(SpaceLayout.from_search_space(space), CostTable(2, 4, layers))
