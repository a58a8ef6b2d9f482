"""The product's training step on one network again and again; on a GPU recorded once and replayed."""

from __future__ import annotations

import gc
import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hnas_nni.data import PatchSampler
from hnas_nni.training.step import Adam, cosine_learning_rate, training_step

_WARM_UP = 3
"""Steps before recording, in which libraries choose their kernels and the moments are made."""

_AT_ONCE = 256
"""Batches that are cut out of the images at once."""


def draw_batches(sampler: PatchSampler, batches: int, batch: int) -> tuple[Tensor, Tensor]:
    """Return `batches` batches in one tensor each: (batches, n, 3, p / s, p / s) and (batches, n, 3, p, p)."""
    parts = []
    for first in range(0, batches, _AT_ONCE):
        count = min(_AT_ONCE, batches - first)
        parts.append([images.unflatten(0, (count, batch)) for images in sampler.sample(count * batch)])
    lr, hr = (torch.cat(part) for part in zip(*parts, strict=True))
    return lr, hr


class TrainingSteps:
    """Steps of one network on batches that lie in memory, the first again after the last.

    On a GPU the steps of a small network take less time than Python takes to ask for them, so that some steps are
    recorded as a CUDA graph, which one call replays; graphs on streams of their own run side by side. Batch and
    learning rate of a step are looked up on the device, by a counter there.

    Parameters
    ----------
    network
        The network, on its device; trained in place.
    lr, hr
        From :func:`draw_batches`, on the same device.
    longest
        Steps of the longest training.
    bfloat16
        Whether convolutions run in 16 bits under autocast.
    recorded
        Steps of a graph; 0 for no graph. Always 0 on a CPU.
    """

    def __init__(
        self,
        network: nn.Module,
        lr: Tensor,
        hr: Tensor,
        *,
        longest: int,
        bfloat16: bool = False,
        recorded: int = 10,
    ) -> None:
        self.network = network
        self._lr, self._hr = lr, hr
        self._bfloat16 = bfloat16
        self._optimizer = Adam()
        self._recorded = recorded if lr.is_cuda else 0
        self._rates = torch.zeros(longest, device=lr.device)
        self._done = torch.zeros(1, dtype=torch.int64, device=lr.device)
        self.stream = torch.cuda.Stream(lr.device) if lr.is_cuda else None
        self._graph: Any = None
        if self._recorded:
            self._record()

    def on_stream(self) -> Any:
        """Return the context in which work waits for this network's steps and for no other's."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def begin(self, steps: int, learning_rate: float = 1e-3) -> None:
        """Let a training of so many steps begin: moments and counter are cleared, the rate follows a cosine.

        Parameters
        ----------
        steps
            Of the whole training; a multiple of the steps of a graph.
        learning_rate
            At the first step; a cosine takes it to a hundredth.
        """
        rates = [cosine_learning_rate(step / steps, learning_rate, learning_rate / 100) for step in range(steps)]
        if steps > len(self._rates):
            raise ValueError(f"{steps} steps are more than the {len(self._rates)} of the longest training")
        with self.on_stream():
            self._rates[:steps] = torch.tensor(rates)
            for moments in self._optimizer.state_dict(self.network).values():
                for moment in moments:
                    moment.zero_()
            self._done.zero_()

    def advance(self, steps: int) -> None:
        """Do so many steps, a multiple of those of a graph; on a GPU they are only asked for."""
        with self.on_stream():
            if self._graph is None:
                for _ in range(steps):
                    self._step()
                return
            if steps % self._recorded:
                raise ValueError(f"{steps} steps are no multiple of the {self._recorded} of a graph")
            for _ in range(steps // self._recorded):
                self._graph.replay()

    def _forward(self, lr: Tensor) -> Tensor:
        with torch.autocast(lr.device.type, torch.bfloat16, enabled=self._bfloat16):
            out: Tensor = self.network(lr)
        return out.float()

    def _step(self) -> None:
        index = self._done % len(self._lr)
        lr, hr = (batches.index_select(0, index)[0] for batches in (self._lr, self._hr))
        rate: Any = self._rates.index_select(0, self._done)[0]
        training_step(self._forward, self._optimizer, lr, hr, rate, self.network.parameters)
        self._done += 1

    def _record(self) -> None:
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream(self._lr.device))
        with torch.cuda.stream(self.stream):
            for _ in range(_WARM_UP):  # the rates are zero by now, so that the weights stay as they are
                self._done.zero_()
                self._step()
            self._done.zero_()
        # Recording looks for garbage first; what is alive now need not be looked through each time.
        gc.freeze()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self.stream):
            for _ in range(self._recorded):
                self._step()
        gc.unfreeze()


def pooled_psnr(psnrs: Tensor) -> float:
    """Return the PSNR of the mean squared error over images of one size, from the PSNR of each, in dB."""
    return -10 * math.log10(float((10 ** (-psnrs.double() / 10)).mean()))
