"""A mend for NNI 3.0's ENAS under Lightning 2.1 and later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nni.nas.strategy import ENAS


class _Tagged:
    """A loader of batches that says of each batch what it is for."""

    def __init__(self, loader: Iterable[Any], mode: str) -> None:
        self.loader = loader
        self.mode = mode

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        return ((batch, self.mode) for batch in self.loader)

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]


def mend_enas(strategy: ENAS) -> None:
    """Let ENAS tell training from validation batches under Lightning 2.1 and later.

    NNI 3.0 expects ``(batch, batch_idx, dataloader_idx)`` from Lightning 2, which since 2.1 hands over the
    bare batch. A pair of images is then taken for the ``(batch, "train")`` of Lightning 1. This mend delivers
    such pairs, which NNI still understands; under Lightning 2.0 and earlier it does nothing.

    Lightning does not look into the loaders that come out of it: in distributed training, give yours a
    distributed sampler.

    Parameters
    ----------
    strategy
        The strategy, before its run; no other is changed. A second call has no effect.
    """
    if not _hands_over_bare_batches() or "train_dataloader" in vars(strategy):
        return
    original = strategy.train_dataloader

    def train_dataloader(make_train: Callable[[], Any], make_val: Callable[[], Any]) -> Any:
        return original(lambda: _Tagged(make_train(), "train"), lambda: _Tagged(make_val(), "val"))

    strategy.train_dataloader = train_dataloader


def _hands_over_bare_batches() -> bool:
    import pytorch_lightning

    major, minor = pytorch_lightning.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 1)
