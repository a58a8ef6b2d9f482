"""Patches per second: the sampler's single gather against a loop over the batch, in one run.

The loop is what data loaders of super-resolution code do for each patch: cut both arrays, flip and turn them,
make tensors of them and stack these.

    python benchmarks/patches.py --threads 1
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from hnas_nni.data import ImagePair, PatchSampler, load_pairs


class LoopSampler:
    """The same patches, cut one after the other with numpy."""

    def __init__(self, pairs: Sequence[ImagePair], scale: int, patch_size: int, device: str, seed: int) -> None:
        self.pairs, self.scale, self.patch_size, self.device = pairs, scale, patch_size, device
        self.random = random.Random(seed)

    def sample(self, batch: int) -> tuple[Tensor, Tensor]:
        """As :meth:`hnas_nni.data.PatchSampler.sample`."""
        patches = [self._one() for _ in range(batch)]
        lr, hr = (torch.stack(tensors).to(self.device) for tensors in zip(*patches, strict=True))
        return lr, hr

    def _one(self) -> tuple[Tensor, Tensor]:
        pair = self.random.choice(self.pairs)
        size = self.patch_size // self.scale
        top = self.random.randrange(pair.lr.shape[0] - size + 1)
        left = self.random.randrange(pair.lr.shape[1] - size + 1)
        turns, mirrored = self.random.randrange(4), self.random.random() < 0.5
        tensors = []
        for image, factor in ((pair.lr, 1), (pair.hr, self.scale)):
            patch = image[top * factor : (top + size) * factor, left * factor : (left + size) * factor]
            patch = np.rot90(patch[:, ::-1] if mirrored else patch, turns)
            tensors.append(torch.from_numpy(np.ascontiguousarray(patch.transpose(2, 0, 1))).float().div_(255))
        return tensors[0], tensors[1]


def seconds_per_batch(sample: Callable[[int], object], batch: int, batches: int, device: str) -> float:
    """Mean wall-clock time of one batch, in seconds."""
    synchronize = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    sample(batch)
    synchronize()
    start = time.perf_counter()
    for _ in range(batches):
        sample(batch)
    synchronize()
    return (time.perf_counter() - start) / batches


def main() -> None:
    """Measure both samplers in turn and print the best times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="embedded:photos", help="'embedded:photos' or a folder of images")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--patch-size", type=int, default=96, help="side of the HR patch in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--batches", type=int, default=20, help="batches in each repetition")
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="torch's threads; by default its own choice")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)

    pairs = load_pairs(options.data, options.scale, minimum_size=options.patch_size)
    settings = (pairs, options.scale, options.patch_size, options.device, 0)
    samplers = {"loop": LoopSampler(*settings).sample, "gather": PatchSampler(*settings).sample}
    times: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(options.repetitions):
        for name, sample in samplers.items():
            times[name].append(seconds_per_batch(sample, options.batch, options.batches, options.device))
    # The best repetition: the one that other programs disturbed least.
    best = {name: min(values) for name, values in times.items()}
    for name, seconds in best.items():
        print(f"{name:>6}: {1000 * seconds:7.3f} ms a batch, {options.batch / seconds:9.0f} patches/s")
    ratio = best["loop"] / best["gather"]
    print(f" ratio: {ratio:.2f} ({options.device}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
