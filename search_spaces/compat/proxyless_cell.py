"""The supernet of a cell for NNI's Proxyless strategy."""

from __future__ import annotations

from typing import Any

import torch
from nni.mutable import CategoricalMultiple
from nni.nas.nn.pytorch import Cell
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.proxyless import _ProxylessFunction
from nni.nas.oneshot.pytorch.supermodule.sampling import PathSamplingCell
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES

Memo = dict[str, Any]


class ProxylessCell(PathSamplingCell):
    """A cell with learnt weights of its choices, of which one edge at a time runs, for Proxyless.

    NNI 3.0 leaves cells as they are there, with candidates that do not know which node they read: all edges
    of an upsampling cell upsample. Here every pair of node and operation has a module of its own, as in NNI's
    other supernet cells.
    """

    @classmethod
    def mutate(
        cls, module: nn.Module, name: str, memo: Memo, mutate_kwargs: dict[str, Any]
    ) -> BaseSuperNetModule | None:
        """Make the supernet of a cell of the space; None for any other module."""
        if type(module) is not Cell or module.op_candidates_factory is None:
            return None
        cell = super().mutate(module, name, memo, mutate_kwargs)
        # Asked for anew, NNI walks through every candidate's modules, which takes longer than to draw all choices.
        cell._choices = cell.simplify()
        cell._arch_alpha = nn.ParameterDict({label: memo[label] for label in cell._choices})
        cell._softmax = mutate_kwargs.get("softmax", nn.Softmax(-1))
        return cell

    def arch_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the architecture's optimizer trains."""
        return list(self._arch_alpha.values())

    def resample(self, memo: Memo) -> Memo:
        """Take the choices from `memo`, and draw those by their weights that it does not have."""
        drawn: Memo = {}
        for label, choice in self._choices.items():
            if label not in memo:
                value = choice.values[draw_index(self._softmax(self._arch_alpha[label]))]
                drawn[label] = [value] if isinstance(choice, CategoricalMultiple) else value
        self._sampled = {label: memo[label] if label in memo else drawn[label] for label in self._arch_alpha}
        return drawn

    def export(self, memo: Memo) -> Memo:
        """Return the value with the largest weight for each choice that `memo` does not have."""
        best: Memo = {}
        for label, choice in self._choices.items():
            if label not in memo:
                value = choice.values[int(self._arch_alpha[label].argmax())]
                best[label] = [value] if isinstance(choice, CategoricalMultiple) else value
        return best

    def export_probs(self, memo: Memo) -> dict[str, dict[Any, float]]:
        """Return the weight of each value of each choice that `memo` does not have."""
        return {
            label: dict(zip(choice.values, self._softmax(self._arch_alpha[label]).tolist(), strict=True))
            for label, choice in self._choices.items()
            if label not in memo
        }

    def forward(self, *inputs: Any) -> torch.Tensor:
        """Compute the sampled cell from the outputs of the second-last and the last block."""
        (states,) = inputs
        nodes = self.preprocessor(list(states))
        for node in range(INPUT_NODES, INPUT_NODES + self.num_nodes):
            nodes.append(sum(self._edge(node, slot, nodes) for slot in range(self.num_ops_per_node)))
        return torch.cat(nodes[INPUT_NODES:], dim=1)

    def _edge(self, node: int, slot: int, nodes: list[torch.Tensor]) -> torch.Tensor:
        choices = self.ops[node - INPUT_NODES]
        input_label, operation_label = f"{self.label}/input_{node}_{slot}", f"{self.label}/op_{node}_{slot}"
        (source,), operation = self._sampled[input_label], self._sampled[operation_label]

        def by_source(index: int, *nodes: torch.Tensor) -> torch.Tensor:
            return choices[index][operation](nodes[index])

        def by_operation(index: int, x: torch.Tensor) -> torch.Tensor:
            return choices[source][self.op_names[index]](x)

        # Both functions hand on the last argument; they are there for the gradients of the weights.
        out = by_source(source, *nodes)
        alpha = self._arch_alpha[input_label]
        out = _ProxylessFunction.apply(by_source, source, len(nodes), self._softmax, alpha, *nodes, out)
        alpha, index = self._arch_alpha[operation_label], self.op_names.index(operation)
        return _ProxylessFunction.apply(by_operation, index, 1, self._softmax, alpha, nodes[source], out)


def draw_index(probabilities: torch.Tensor) -> int:
    """Draw an index by its probability."""
    return int(torch.multinomial(probabilities, 1))
