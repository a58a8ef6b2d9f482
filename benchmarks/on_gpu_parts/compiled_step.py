"""Seconds to compile a path's training step, and of the step with and without; run as a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hnas_nni import Genotype
from hnas_nni.training.step import Adam, training_step


def main() -> None:
    """Take device, layers, channels, batch and patch, and print one line of JSON."""
    device, layers, channels, batch, patch = sys.argv[1], *map(int, sys.argv[2:])
    genotype = Genotype.random(1, layers)
    network = genotype.build(2, channels, layers).to(device)
    lr = torch.rand(batch, 3, patch // 2, patch // 2, device=device)
    hr = torch.rand(batch, 3, patch, patch, device=device)
    optimizer = Adam()

    def seconds(forward: Callable[[Tensor], Tensor], steps: int) -> float:
        def under_autocast(images: Tensor) -> Tensor:
            with torch.autocast(device, torch.bfloat16):
                return forward(images).float()

        _wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            training_step(under_autocast, optimizer, lr, hr, 1e-4, network.parameters)
        _wait(device)
        return (time.perf_counter() - start) / steps

    steps = 20 if device == "cuda" else 1
    seconds(network, 3)
    eager = seconds(network, steps)
    compiled = torch.compile(network)
    first = seconds(compiled, 1)
    seconds(compiled, 3)
    fast = seconds(compiled, steps)
    row = {"compile_seconds": first, "eager_milliseconds": 1000 * eager, "compiled_milliseconds": 1000 * fast}
    print(json.dumps(row))


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
