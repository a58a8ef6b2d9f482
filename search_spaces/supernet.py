"""The space as a supernet for NNI's one-shot strategies.

NNI makes supernets of cells by itself, except for Proxyless, but knows nothing of the position of the
upsampling cell. The hooks add what is missing.
"""

from __future__ import annotations

from typing import Any

from nni.nas.oneshot.pytorch.strategy import MutationHook
from nni.nas.strategy import DARTS, ENAS, Proxyless
from nni.nas.strategy.base import Strategy

from hnas_nni.architecture.spaces import PAPER
from search_spaces.compat.enas import mend_enas
from search_spaces.compat.loose_end_cell import LooseEndCell
from search_spaces.compat.penalty import mend_penalty
from search_spaces.compat.proxyless_cell import ProxylessCell
from search_spaces.supernet_blocks import DifferentiableBlocks, PathSamplingBlocks, ProxylessBlocks


def oneshot_hooks(strategy: Strategy, space: Any) -> list[MutationHook]:
    """Return the hooks by which a one-shot strategy of NNI makes a supernet of the space.

    Strategies that NNI does not derive from its DARTS get the path-sampled supernet. ENAS and penalties are mended on
    the way, see :func:`search_spaces.compat.enas.mend_enas` and :func:`search_spaces.compat.penalty.mend_penalty`.

    Parameters
    ----------
    strategy
        The strategy.
    space
        The :class:`search_spaces.HNASSpace`.
    """
    if space.space is not PAPER and isinstance(strategy, DARTS):
        raise ValueError(
            f"{type(strategy).__name__}: can't mix cells whose loose ends are added; in the efficient space use a "
            "strategy that samples paths, as HierarchicalOneShot, RandomOneShot and ENAS"
        )
    if space.sized:
        raise ValueError(
            "HNASSpace: a one-shot supernet is of one depth and width; give HNASSpace(channels=..., layers=...)"
        )
    if isinstance(strategy, DARTS):
        mend_penalty(strategy.penalty, space)
    if isinstance(strategy, Proxyless):
        return [ProxylessBlocks.mutate, ProxylessCell.mutate]
    if isinstance(strategy, DARTS):
        return [DifferentiableBlocks.mutate]
    if isinstance(strategy, ENAS):
        mend_enas(strategy)
    return [PathSamplingBlocks.mutate, LooseEndCell.mutate]
