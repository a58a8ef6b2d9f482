"""Supernets of the blocks: where the upsampling cell stands becomes part of a one-shot search."""

from __future__ import annotations

import logging
from typing import Any

import torch
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.proxyless import _ProxylessFunction
from torch import nn

from search_spaces.blocks import SearchableBlocks
from search_spaces.compat.proxyless_cell import draw_index

Memo = dict[str, Any]

_NNI_LOGGER = logging.getLogger("nni.nas.oneshot.pytorch.supermodule.differentiable")


class _SupernetBlocks(SearchableBlocks, BaseSuperNetModule):
    """Common part of the supernets: they take over the cells of the space, which NNI replaces next."""

    @classmethod
    def mutate(
        cls, module: nn.Module, name: str, memo: Memo, mutate_kwargs: dict[str, Any]
    ) -> BaseSuperNetModule | None:
        """Make the supernet of the space's blocks; None for any other module."""
        if type(module) is not SearchableBlocks:
            return None
        cells = {"normal": module.normal, "upsampling": module.upsampling}
        blocks = cls(module.scale, module.channels, module.layers, cells, space=module.space)
        return cls._make(blocks, memo, mutate_kwargs)

    @classmethod
    def _make(cls, blocks: Any, memo: Memo, mutate_kwargs: dict[str, Any]) -> BaseSuperNetModule:
        return blocks

    def active_sample(self) -> Memo | None:
        """Return the choices that the supernet runs now; None if it mixes all of them, or nothing is sampled yet."""
        position = getattr(self, "_sampled", None)
        if position is None:
            return None
        # All cells of a kind sample the same.
        cells: tuple[Any, ...] = (self.normal[0], self.upsampling[0])
        return {self.position.label: position, **cells[0]._sampled, **cells[1]._sampled}

    def likeliest_sample(self) -> Memo:
        """Return the choices that NNI's strategy would export now; of mixed ones those with the largest weight."""
        sample: Memo = {}
        level = _NNI_LOGGER.level
        _NNI_LOGGER.setLevel("WARNING")  # it writes all weights of each cell at each call
        for module in self.modules():
            if isinstance(module, BaseSuperNetModule):
                sample |= module.export(memo=sample)
        _NNI_LOGGER.setLevel(level)
        return sample


class PathSamplingBlocks(_SupernetBlocks):
    """Runs one architecture at a time, for RandomOneShot and ENAS: costs what the architecture costs."""

    _sampled: int | None = None

    def resample(self, memo: Memo) -> Memo:
        """Take the position from `memo`, or draw it uniformly."""
        label = self.position.label
        self._sampled = memo[label] if label in memo else self.position.random()
        return {label: self._sampled}

    def export(self, memo: Memo) -> Memo:
        """Draw a position uniformly, unless `memo` has one."""
        label = self.position.label
        return {} if label in memo else {label: self.position.random()}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the sampled architecture: ``(n, 4C, h, w)`` to ``(n, 4C, scale * h, scale * w)``."""
        return self.run(_sampled(self._sampled), x)


class _WeightedBlocks(_SupernetBlocks):
    """Positions with a learnt weight each."""

    _arch_alpha: nn.Parameter
    _softmax: nn.Module

    @classmethod
    def _make(cls, blocks: Any, memo: Memo, mutate_kwargs: dict[str, Any]) -> BaseSuperNetModule:
        blocks._arch_alpha = memo[blocks.position.label]
        blocks._softmax = mutate_kwargs.get("softmax", nn.Softmax(-1))
        return blocks

    def arch_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that the architecture's optimizer trains."""
        return [self._arch_alpha]

    def resample(self, memo: Memo) -> Memo:
        """Do nothing: all positions run."""
        return {}

    def export(self, memo: Memo) -> Memo:
        """Return the position with the largest weight, unless `memo` has one."""
        label = self.position.label
        return {} if label in memo else {label: self.position.values[int(self._arch_alpha.argmax())]}

    def export_probs(self, memo: Memo) -> dict[str, dict[Any, float]]:
        """Return the weight of each position."""
        label = self.position.label
        if label in memo:
            return {}
        return {label: dict(zip(self.position.values, self._softmax(self._arch_alpha).tolist(), strict=True))}


class DifferentiableBlocks(_WeightedBlocks):
    """Mixes all positions by their weights, for DARTS and GumbelDARTS.

    Two chains run side by side: the blocks before the upsampling cell, at low resolution, and those behind
    it. Behind block l the second is the mean over all positions up to l, by weight, so that the upsampling
    cell of block l enters with ``w_l / (w_1 + ... + w_l)``. If one position has all the weight this is its
    network.

    Of normal cells L - 1 run at low and L - 1 at high resolution, and L upsampling cells, instead of L cells
    in all; each position on its own would take L(L - 1)/2 cells at high resolution. Memory grows alike, on
    top of NNI's cells, which run every candidate on every edge: use few layers and channels, and small
    patches.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mix all positions: ``(n, 4C, h, w)`` to ``(n, 4C, scale * h, scale * w)``."""
        probabilities = self._softmax(self._arch_alpha)
        weights = probabilities.clamp_min(torch.finfo(probabilities.dtype).eps)
        shares = weights / weights.cumsum(0)  # the first is 1: nothing has been upsampled before
        low = [x, x]
        high: list[torch.Tensor] = []
        for share, normal, upsampling in zip(shares, self.normal, self.upsampling, strict=True):
            upsampled = upsampling(low)
            if high:
                second_last, last = high[1], normal(high)
                high = [torch.lerp(state, upsampled, share) for state in (second_last, last)]
            else:
                high = [upsampled, upsampled]
            if normal is not self.normal[-1]:
                low = [low[1], normal(low)]
        return high[1]


class ProxylessBlocks(_WeightedBlocks):
    """Runs one architecture at a time, drawn by the positions' weights, for Proxyless.

    The gradient of the weights needs the output for each other position; the backward pass computes it by
    another L - 1 forward passes through the blocks, one after another and without a graph.
    """

    _sampled: int | None = None

    def resample(self, memo: Memo) -> Memo:
        """Take the position from `memo`, or draw it by the weights."""
        label = self.position.label
        if label in memo:
            self._sampled = memo[label]
        else:
            self._sampled = self.position.values[draw_index(self._softmax(self._arch_alpha))]
        return {label: self._sampled}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the sampled architecture: ``(n, 4C, h, w)`` to ``(n, 4C, scale * h, scale * w)``."""
        index = self.position.values.index(_sampled(self._sampled))
        return _ProxylessFunction.apply(
            self._forward_path, index, 1, self._softmax, self._arch_alpha, x, self._forward_path(index, x)
        )

    def _forward_path(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return self.run(self.position.values[index], x)


def _sampled(position: int | None) -> int:
    if position is None:
        raise RuntimeError("no position is sampled yet; call resample() of the strategy's module first")
    return position
