"""The Pareto set of PSNR against multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_set(points: Sequence[tuple[float | None, float | None]]) -> frozenset[int]:
    """Return the indices of the points that no other one beats in both PSNR and multiply-adds.

    One beats another if it is at least as good in both and better in one; of equals all are kept.

    Parameters
    ----------
    points
        PSNR, of which more is better, and multiply-adds, of which less is better. Points that lack one are left out.
    """
    known = [
        (gmacs, -psnr, index) for index, (psnr, gmacs) in enumerate(points) if gmacs is not None and psnr is not None
    ]
    kept: set[int] = set()
    best: tuple[float, float] | None = None
    for gmacs, loss, index in sorted(known):
        if best is None or loss < best[1] or (gmacs, loss) == best:
            kept.add(index)
            best = (gmacs, loss)
    return frozenset(kept)
