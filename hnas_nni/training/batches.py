"""Batches of patches for Lightning's loops, made on the device that trains."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from hnas_nni.data import PatchSampler


class PatchBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """An epoch of random training batches, for a DataLoader with ``batch_size=None``.

    The draws go on from epoch to epoch. A DataLoader must not have worker processes: the images live once, on the
    device.

    Parameters
    ----------
    batch
        Patches in a batch, n, over all processes.
    steps
        Batches in an epoch.
    rank, processes
        Number of this process in a distributed training, and how many there are. Each draws whole batches by one seed
        and yields its part, so that the training is the same on any number of devices. `batch` is a multiple.

    Attributes
    ----------
    sampler
        Where the patches come from; set in the module's ``setup``, when Lightning has chosen the device.
    """

    sampler: PatchSampler

    def __init__(self, batch: int, steps: int, rank: int = 0, processes: int = 1) -> None:
        self.batch = batch
        self.steps = steps
        self._part = slice(rank * batch // processes, (rank + 1) * batch // processes)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield pairs ``lr, hr`` of float32 in 0..1, ``(m, 3, p / s, p / s)`` and ``(m, 3, p, p)``.

        m is n over the number of processes.
        """
        for _ in range(self.steps):
            low, high = self.sampler.sample(self.batch)
            yield low[self._part], high[self._part]


def restart(sampler: PatchSampler, seed: int, rank: int = 0, epoch: int = 0) -> None:
    """Let a sampler begin its draws anew.

    Parameters
    ----------
    sampler
        The sampler.
    seed
        Of the training; rank 0 in epoch 0 draws as ``PatchSampler(..., seed=seed)``.
    rank
        Number of the process in a distributed training, each of which draws other patches.
    epoch
        Number of the epoch, for a training that can be resumed before any of them.
    """
    seed += 1_000_003 * rank + 7_368_787 * epoch
    state = torch.Generator(sampler.device).manual_seed(seed).get_state()
    sampler.load_state_dict({"device": sampler.device.type, "generator": state})
