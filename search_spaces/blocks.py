"""The blocks of the space: cells of both kinds in every place, and where the upsampling cell stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from nni.mutable import Categorical, ensure_frozen
from nni.nas.nn.pytorch import Cell, MutableModule
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import DEPTH_LABEL, PAPER, POSITION_LABEL, WIDTH_LABEL, Space
from hnas_nni.network.efficient_network import LUMA_CHANNELS, operation_module, run_efficient_blocks
from hnas_nni.network.first_weights import pass_through, preserve_signal
from hnas_nni.network.network import Preprocessor, block_cells, candidate, run_blocks


class SearchableBlocks(MutableModule):
    """L places that each hold a normal and an upsampling cell, and a choice of the place that upsamples.

    The choice is a mutable of this module, not of the space: NNI can't freeze a space with own mutables.

    Parameters
    ----------
    scale, channels, layers
        Of the networks that the cells here are those of.
    cells
        L cells of each kind by its name, "normal" and "upsampling"; made here if not given.
    normalization
        As for :class:`search_spaces.HNASSpace`.
    space
        The search space.
    depths, widths
        Candidates for L and C, where they are searched: then the cells here are of use but for their choices.

    Attributes
    ----------
    normal, upsampling
        The L cells of each kind. All cells of a kind share their labels, and so their structure.
    position
        The choice of the place that upsamples, 1..L.
    depth, width
        The choices of L and C, or None.
    """

    def __init__(
        self,
        scale: int,
        channels: int,
        layers: int,
        cells: Mapping[str, nn.ModuleList] | None = None,
        normalization: str = "none",
        space: Space = PAPER,
        depths: Sequence[int] = (),
        widths: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.space = space
        self.scale = scale
        self.channels = channels
        self.layers = layers
        if cells is None:
            cells = {
                name: nn.ModuleList(self._make_cell(name, place, normalization) for place in range(layers))
                for name in space.cells
            }
        self.normal = cells["normal"]
        self.upsampling = cells["upsampling"]
        self.depth = self.add_mutable(Categorical(depths, label=DEPTH_LABEL)) if depths else None
        self.width = self.add_mutable(Categorical(widths, label=WIDTH_LABEL)) if widths else None
        self.position = self.add_mutable(Categorical(range(1, max(depths, default=layers) + 1), label=POSITION_LABEL))
        self._dry_run_position: int = ensure_frozen(self.position)

    def blocks(self, position: int) -> Iterator[nn.Module]:
        """Yield the L cells of the networks whose upsampling cell stands at `position`, counted from 1."""
        for place, cell in enumerate(block_cells(position, self.layers)):
            yield getattr(self, cell)[place]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the cells with NNI's default choices: a dry run, of no use but to look at shapes."""
        return self.run(self._dry_run_position, x)

    def run(self, position: int, x: torch.Tensor) -> torch.Tensor:
        """Run the L cells of the networks whose upsampling cell stands at `position`, on the stem's output."""
        run = run_blocks if self.space is PAPER else run_efficient_blocks
        return run(self.blocks(position), position, x)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the blocks of one architecture, plain modules that keep the weights they have here.

        Parameters
        ----------
        sample
            The space's labels and their values.

        Raises
        ------
        nni.mutable.SampleValidationError
            If the sample is not in the space.
        """
        self.validate(sample)
        genotype = self.genotype(sample)
        blocks: nn.Module = genotype.build(self.scale, self.channels, self.layers).blocks
        load_fitting(blocks, self.sub_state_dict(genotype))
        return blocks

    def genotype(self, sample: dict[str, Any]) -> Genotype:
        """Return the architecture of a valid sample; other labels, as those of an evaluator, are ignored."""
        choices = self.simplify().items()
        return Genotype.from_sample({label: choice.freeze(sample) for label, choice in choices})

    def sub_state_dict(self, genotype: Genotype) -> dict[str, torch.Tensor]:
        """Return the weights of one architecture, named as in its :class:`~hnas_nni.network.network.Blocks`.

        Works on the space as it was built and on the supernets that NNI's one-shot strategies make of it.
        """
        weights: dict[str, torch.Tensor] = {}
        if self.depth is not None or self.width is not None:
            return weights  # the cells here are of one size
        for place, name in enumerate(block_cells(genotype.position, self.layers)):
            cell = getattr(self, name)[place]
            if isinstance(cell.preprocessor, Preprocessor):
                for key, weight in cell.preprocessor.state_dict().items():
                    weights[f"{place}.preprocessor.{key}"] = weight
            for node, slot, edge in getattr(genotype, name).slots():
                first = node - INPUT_NODES
                # NNI's Cell keeps operations by slot, its supernet cells by the node that is read.
                choices = cell.ops[first][slot if isinstance(cell, Cell) else edge.source]
                own = f"{first}.{slot}" if self.space is PAPER else f"{first}"
                for key, weight in choices[edge.operation].state_dict().items():
                    weights[f"{place}.ops.{own}.{key}"] = weight
        return weights

    def _make_cell(self, name: str, place: int, normalization: str) -> Cell:
        """Make the cell of a kind at a place, counted from 0."""
        if self.space is PAPER:
            return _make_cell(name, self.channels, self.scale, normalization)
        out = LUMA_CHANNELS if name == "upsampling" and place == self.layers - 1 else self.channels
        factories = {
            operation: partial(_make_efficient_candidate, name, operation, self.channels, self.scale, out)
            for operation in candidates(self.space, name)
        }
        shape = self.space.shapes[name]
        return Cell(
            factories,
            num_nodes=shape.intermediate,
            num_ops_per_node=shape.edges_per_node,
            num_predecessors=INPUT_NODES,
            merge_op="loose_end",
            postprocessor=AddLooseEnds(out),
            label=name,
        )


class AddLooseEnds(nn.Module):
    """Add the nodes that NNI's cell has concatenated: ``(n, k * C, h, w)`` to ``(n, C, h, w)``.

    Parameters
    ----------
    channels
        C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, concatenated: torch.Tensor, inputs: Any) -> torch.Tensor:
        """Return the sum."""
        return torch.stack(concatenated.split(self.channels, dim=1)).sum(0)


def load_fitting(module: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Copy those weights into a module that have their place there, in name and shape."""
    own = module.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    module.load_state_dict(fitting, strict=False)


def _make_cell(name: str, channels: int, scale: int, normalization: str) -> Cell:
    factories = {
        operation: partial(_make_candidate, name, operation, channels, scale, normalization)
        for operation in candidates(PAPER, name)
    }
    shape = PAPER.shapes[name]
    preprocessor = Preprocessor(channels)
    if normalization == "batch":
        for reduce in preprocessor:
            reduce.register_forward_hook(_normalize)
    elif normalization == "mean":
        pass_through(preprocessor)
    return Cell(
        factories,
        num_nodes=shape.intermediate,
        num_ops_per_node=shape.edges_per_node,
        num_predecessors=INPUT_NODES,
        preprocessor=preprocessor,
        label=name,
    )


def _make_efficient_candidate(
    cell: str, operation: str, channels: int, scale: int, out: int, node: int, slot: int, source: int | None
) -> nn.Module:
    # A node that is not picked yet is taken for an input.
    return operation_module(cell, operation, source or 0, channels, scale, out)


def _make_candidate(
    cell: str,
    operation: str,
    channels: int,
    scale: int,
    normalization: str,
    node: int,
    slot: int,
    source: int | None,
) -> nn.Module:
    module = candidate(cell, operation, source, channels, scale)
    # Hooks and not modules around it: the weights keep the names that they have in the final network.
    if normalization == "batch":
        if any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in module.modules()):
            module.register_forward_hook(_normalize)
    elif normalization == "mean":
        preserve_signal(module, operation)
        module.register_forward_hook(_halve)
    return module


def _halve(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Half of what an edge gives: a node's sum over its two edges becomes their mean."""
    return output / PAPER.shapes["normal"].edges_per_node


def _normalize(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Batch norm without parameters, by the batch's own statistics: those of other paths would not fit this one."""
    return F.batch_norm(output, None, None, training=True)
