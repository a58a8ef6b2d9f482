"""What the device reaches for a network's convolutions when they run alone: the roof of a training step."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from on_gpu_parts.job import Job

_RUNS = 10
_TRAINING = 3
"""A step's work in forward passes: that, the gradient of the input and that of the weights."""


class Shape(NamedTuple):
    """A convolution and what it reads."""

    transposed: bool
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    groups: int
    size: tuple[int, int, int, int]
    """Of what it reads: (n, channels, h, w)."""

    @property
    def name(self) -> str:
        """A short description."""
        kind = "transposed " if self.transposed else "depthwise " if 1 < self.groups == self.inputs else ""
        return f"{kind}{self.kernel}x{self.kernel}, {self.inputs} to {self.outputs}, {self.size[2]}x{self.size[3]}"

    def make(self) -> nn.Module:
        """Make the convolution, channels last as the product's, without bias."""
        kind = nn.ConvTranspose2d if self.transposed else nn.Conv2d
        module = kind(
            self.inputs,
            self.outputs,
            self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=False,
        )
        return module.to(memory_format=torch.channels_last)


def shapes_and_macs(network: nn.Module, forward: Any, lr: Tensor) -> tuple[Counter[Shape], int]:
    """Return how often a forward pass runs each convolution, and the multiply-adds of all of them."""
    found: Counter[Shape] = Counter()
    macs = 0

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        transposed = isinstance(module, nn.ConvTranspose2d)
        pixels = inputs[0] if transposed else output
        macs += module.weight.numel() * pixels[:, 0].numel()
        found[
            Shape(
                transposed,
                module.in_channels,
                module.out_channels,
                *(getattr(module, name)[0] for name in ("kernel_size", "stride", "padding", "dilation")),
                module.groups,
                tuple(inputs[0].shape),
            )
        ] += 1

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, kinds)]
    with torch.no_grad():
        forward(lr)
    for hook in hooks:
        hook.remove()
    return found, macs


def seconds_alone(job: Job, shape: Shape, bfloat16: bool) -> float:
    """Return the seconds of a forward and a backward pass of one convolution, without Python between them."""
    conv = shape.make().to(job.device)
    x = torch.randn(shape.size, device=job.device).to(memory_format=torch.channels_last)
    if bfloat16:
        conv, x = conv.to(torch.bfloat16), x.to(torch.bfloat16)
    x.requires_grad_()
    gradient = torch.randn_like(conv(x))

    def work() -> None:
        torch.autograd.grad(conv(x), [x, conv.weight], gradient)

    stream: Any = torch.cuda.stream(torch.cuda.Stream()) if job.cuda else nullcontext()
    job.synchronize()
    with stream:
        for _ in range(3):
            work()
    job.synchronize()
    replay = work
    runs = _RUNS
    if job.cuda:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(runs):
                work()
        replay = graph.replay
    else:
        runs = 1
    replay()
    job.synchronize()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        replay()
        job.synchronize()
        times.append((time.perf_counter() - start) / runs)
    return min(times)


def flops(macs: int) -> int:
    """Return the floating-point operations of a training step whose forward pass has so many multiply-adds."""
    return 2 * _TRAINING * macs
