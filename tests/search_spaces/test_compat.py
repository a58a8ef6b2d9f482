"""ENAS under current Lightning versions; and that mends leave NNI itself alone."""

from __future__ import annotations

import subprocess
import sys
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
from search_spaces.compat.enas import mend_enas


def make_strategy() -> ENAS:
    return ENAS(batches_per_update=2, reward_metric_name="default")


def run(strategy: ENAS, evaluator: Any) -> None:
    space = HNASSpace(scale=2, channels=2, layers=2)
    strategy(RawFormatModelSpace.from_model(space, evaluator), SequentialExecutionEngine())


@pytest.mark.slow
def test_enas_trains_and_validates_on_the_right_batches(
    make_evaluator: Callable[[], Any], patches: TensorDataset
) -> None:
    evaluator = make_evaluator()
    run(make_strategy(), evaluator)
    low, _ = patches[:]
    assert torch.equal(torch.cat(evaluator.module.trained), low[:4])
    assert torch.equal(torch.cat(evaluator.module.validated), low[4:])


@pytest.mark.slow
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


LOOK = """
import importlib, pkgutil, sys
import nni.nas.experiment, nni.nas.strategy, nni.nas.hub.pytorch, nni.nas.profiler.pytorch.flops
import nni.algorithms.hpo.tpe_tuner, nni.nas.oneshot.pytorch.profiler, nni.nas.evaluator.pytorch, nni.tuner, nni.mutable

def attributes():
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "nni"]:
        for name, value in vars(module).items():
            yield (module.__name__, name), value
            if isinstance(value, type) and value.__module__.split(".")[0] == "nni":
                for attribute, inner in vars(value).items():
                    yield (module.__name__, name, attribute), inner

before = dict(attributes())
classes = len({key[:2] for key in before if len(key) == 3})
for package in ("hnas_nni", "search_spaces", "strategies"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
after = dict(attributes())
print(classes, sorted(key for key in before if after.get(key, before) is not before[key]))
"""


@pytest.mark.slow
def test_importing_the_packages_leaves_nni_as_it_was() -> None:
    """Each attribute of each module and class of NNI is the same object before and after."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LOOK], check=True, capture_output=True, text=True)
    classes, changed = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert int(classes) > 200
    assert changed == "[]"
