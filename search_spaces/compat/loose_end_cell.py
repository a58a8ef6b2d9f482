"""The supernet of a cell of the efficient space for strategies that sample paths."""

from __future__ import annotations

from typing import Any

import torch
from nni.nas.nn.pytorch import Cell
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.sampling import PathSamplingCell
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES

Memo = dict[str, Any]


class LooseEndCell(PathSamplingCell):
    """A cell that adds up the nodes which no other node reads; NNI 3.0's own takes all nodes."""

    @classmethod
    def mutate(
        cls, module: nn.Module, name: str, memo: Memo, mutate_kwargs: dict[str, Any]
    ) -> BaseSuperNetModule | None:
        """Make the supernet of such a cell; None for any other module."""
        if type(module) is not Cell or module.merge_op != "loose_end":
            return None
        made: BaseSuperNetModule | None = super().mutate(module, name, memo, mutate_kwargs)
        return made

    def forward(self, *inputs: Any) -> torch.Tensor:
        """Compute the sampled cell from its two inputs."""
        (states,) = inputs
        nodes = list(states)
        read = set()
        for node in range(INPUT_NODES, INPUT_NODES + self.num_nodes):
            (source,) = self._sampled[f"{self.label}/input_{node}_0"]
            operation = self._sampled[f"{self.label}/op_{node}_0"]
            nodes.append(self.ops[node - INPUT_NODES][source][operation](nodes[source]))
            read.add(source)
        first, *others = (x for node, x in enumerate(nodes) if node >= INPUT_NODES and node not in read)
        out: torch.Tensor = sum(others, first)
        return out
