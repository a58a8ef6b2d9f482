"""ENAS under current Lightning versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning
import torch
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy import ENAS
from torch.utils.data import DataLoader, TensorDataset

from search_spaces import HNASSpace
from search_spaces.compat import mend_enas


def make_strategy() -> ENAS:
    return ENAS(batches_per_update=2, reward_metric_name="default")


def run(strategy: ENAS, evaluator: Any) -> None:
    space = HNASSpace(scale=2, channels=2, layers=2)
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())


def test_enas_trains_and_validates_on_the_right_batches(
    make_evaluator: Callable[[], Any], patches: TensorDataset
) -> None:
    evaluator = make_evaluator()
    run(make_strategy(), evaluator)
    low, _ = patches[:]
    assert torch.equal(torch.cat(evaluator.module.trained), low[:4])
    assert torch.equal(torch.cat(evaluator.module.validated), low[4:])


def test_enas_needs_the_mend(make_evaluator: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails NNI or Lightning were mended, and search_spaces.compat can go."""
    monkeypatch.setattr("search_spaces.supernet.mend_enas", lambda strategy: None)
    evaluator = make_evaluator()
    with pytest.raises(RuntimeError, match="size of tensor"):  # low-resolution images taken for the batch
        run(make_strategy(), evaluator)


@pytest.mark.parametrize("version", ["1.9.5", "2.0.9"])
def test_mend_leaves_lightning_alone_that_works(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch_lightning, "__version__", version)
    strategy = make_strategy()
    mend_enas(strategy)
    assert "train_dataloader" not in vars(strategy)


def test_mend_acts_once_and_on_one_strategy_only() -> None:
    mended, other = make_strategy(), make_strategy()
    mend_enas(mended)
    mend_enas(mended)
    train, val = DataLoader([1]), DataLoader([2, 3])
    batches = mended.train_dataloader(lambda: train, lambda: val)
    assert [list(loader) for loader in batches.flattened] == [[(1, "train")], [(2, "val"), (3, "val")]]
    assert [len(loader) for loader in batches.flattened] == [1, 2]
    assert other.train_dataloader(lambda: train, lambda: val).flattened == [train, val]
