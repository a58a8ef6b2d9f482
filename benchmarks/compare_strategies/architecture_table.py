"""A part of the space of which every architecture was measured, for comparing strategies.

Strategies ask for any architecture they like. A table can answer all of them only if it holds the whole space, so it
is made of a part of the hierarchical space: some decisions are left free, all others are fixed. What is free is
searched by NNI's strategies as any other space is, and answered from the table in microseconds.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nni
import numpy as np
from nni.mutable import Categorical, MutableDict, label_scope
from nni.nas.evaluator import Evaluator
from nni.nas.space import BaseModelSpace, RawFormatModelSpace

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import POSITION_LABEL
from hnas_nni.files import replacing
from search_spaces.compat.experiment import CopyingModelSpace

_FORMAT = "hnas-architecture-table"


@dataclass(frozen=True)
class SubSpace:
    """A part of the hierarchical space that is small enough to measure all of it.

    Parameters
    ----------
    free
        Label -> candidates of the decisions that are searched.
    fixed
        Label -> value of all others. Input picks are integers.
    """

    free: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any]

    def __post_init__(self) -> None:
        for label, values in self.free.items():
            if label in self.fixed:
                raise ValueError(f"{label}: is free and fixed; choose one")
            if not values:
                raise ValueError(f"{label}: has no candidates")
        self.genotype(next(self.samples()))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of candidates of each free decision."""
        return tuple(len(values) for values in self.free.values())

    def __len__(self) -> int:
        """Return the number of architectures."""
        return math.prod(self.shape)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Yield the free decisions, label -> value, of all architectures in the order of :meth:`index`."""
        for values in itertools.product(*self.free.values()):
            yield dict(zip(self.free, values, strict=True))

    def index(self, sample: Mapping[str, Any]) -> int:
        """Return the row of an architecture.

        Raises
        ------
        KeyError, ValueError
            If a free decision is missing, or its value not a candidate.
        """
        row = 0
        for label, values in self.free.items():
            row = row * len(values) + values.index(sample[label])
        return row

    def genotype(self, sample: Mapping[str, Any]) -> Genotype:
        """Return the whole architecture of a sample of the free decisions.

        Raises
        ------
        hnas_nni.architecture.genotype.GenotypeError
            If free and fixed decisions together are not one of the hierarchical space.
        """
        return Genotype.from_sample({**self.fixed, **sample})


def default_subspace(layers: int = 6) -> SubSpace:
    """Return 640 architectures for each position: 3,840 with 6 blocks.

    Free are four decisions of the normal cell (the operations of a chain of three nodes, and where the last node
    reads), the upsampling operation, and the position.

    Parameters
    ----------
    layers
        L; the position is one of 1..L.
    """
    normal = ("identity", "dil_conv_3x3", "sep_conv_3x3", "rcab")
    free: dict[str, tuple[Any, ...]] = {
        "normal/op_2_0": normal,
        "normal/op_3_0": normal,
        "normal/op_4_0": normal,
        "normal/input_5_0": (1, 4),
        "upsampling/op_2_0": ("area", "bilinear", "nearest", "deconv", "subpixel"),
        POSITION_LABEL: tuple(range(1, layers + 1)),
    }
    fixed: dict[str, Any] = {}
    for cell, plain in (("normal", "identity"), ("upsampling", "nearest")):
        for node in range(2, 6):
            # A chain from the last block on; every node also takes in the last block.
            for slot, source in ((0, 1 if node == 2 else node - 1), (1, 0 if node == 2 else 1)):
                fixed[f"{cell}/op_{node}_{slot}"] = plain
                fixed[f"{cell}/input_{node}_{slot}"] = source
    return SubSpace(free, {label: value for label, value in fixed.items() if label not in free})


@dataclass(frozen=True, eq=False)
class ArchitectureTable:
    """PSNR and multiply-adds of all architectures of a part of the space.

    Parameters
    ----------
    subspace
        The architectures.
    psnr
        In dB on Y, float64 of shape (N,), in the order of :meth:`SubSpace.index`; nan where not measured yet.
    gmacs
        Multiply-adds in 10^9 at a 480x480 input, shape (N,).
    settings
        How it was made, as JSON-ready data.
    """

    subspace: SubSpace
    psnr: np.ndarray
    gmacs: np.ndarray
    settings: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether all architectures have been measured."""
        return bool(np.isfinite(self.psnr).all())

    def save(self, path: Path) -> None:
        """Write the table, whole or not at all, as a compressed NumPy archive."""
        header = {
            "format": _FORMAT,
            "free": {label: list(values) for label, values in self.subspace.free.items()},
            "fixed": dict(self.subspace.fixed),
            "settings": dict(self.settings),
        }
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), psnr=self.psnr, gmacs=self.gmacs)

    @classmethod
    def load(cls, path: Path) -> ArchitectureTable:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a table.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                header = json.loads(str(archive["header"]))
                psnr, gmacs = archive["psnr"], archive["gmacs"]
        except FileNotFoundError:
            raise
        except Exception as error:  # what NumPy raises for other files is of many types
            raise ValueError(f"{path}: is not an architecture table ({error})") from error
        if header.get("format") != _FORMAT:
            raise ValueError(f"{path}: is not an architecture table")
        subspace = SubSpace({label: tuple(values) for label, values in header["free"].items()}, header["fixed"])
        return cls(subspace, psnr, gmacs, header["settings"])


class _TableSpace(BaseModelSpace, MutableDict):
    """The free decisions as an NNI space without a network."""


class TableEvaluator(Evaluator):
    """Reports an architecture's reward from a table instead of training it.

    Parameters
    ----------
    subspace
        The architectures.
    rewards
        Of shape (N,).
    """

    def __init__(self, subspace: SubSpace, rewards: np.ndarray) -> None:
        self.subspace = subspace
        self.rewards = rewards

    def _execute(self, model: Any) -> float:
        reward = float(self.rewards[self.subspace.index(model.sample)])
        nni.report_final_result(reward)
        return reward


def table_space(subspace: SubSpace, rewards: np.ndarray) -> RawFormatModelSpace:
    """Return the architectures as a space that any multi-trial strategy of NNI can search in this process.

    Parameters
    ----------
    subspace
        The architectures.
    rewards
        What is reported for each, shape (N,).

    Examples
    --------
    >>> from nni.nas.execution import SequentialExecutionEngine
    >>> from nni.nas.strategy import Random
    >>> subspace = default_subspace(layers=2)
    >>> engine = SequentialExecutionEngine(max_model_count=10)
    >>> Random(seed=0)(table_space(subspace, np.arange(len(subspace))), engine)
    >>> len(engine.list_models())
    10
    """
    choices = {label: _choice(label, values) for label, values in subspace.free.items()}
    return CopyingModelSpace(_TableSpace(choices), TableEvaluator(subspace, rewards))


def _choice(label: str, values: tuple[Any, ...]) -> Categorical:
    scope, _, name = label.rpartition("/")
    with label_scope(scope) if scope else nullcontext():
        return Categorical(list(values), label=name)
