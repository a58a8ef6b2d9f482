"""Random stacks trained to the end, many at a time: which short training ranks them as the long one does."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hnas_nni.data import ImagePair, PatchSampler, fixed_patches
from hnas_nni.metrics import psnr_y_batch
from on_gpu_parts.job import SCALE, Job, table
from on_gpu_parts.stacks import PLAIN, Stack, StackNetwork, random_stack
from on_gpu_parts.training_steps import TrainingSteps, draw_batches, pooled_psnr

_SEEDS = (0, 1)
_RECORDED = 10
_SLICE = 40
"""Steps that are asked of one network before the next has its turn."""
_WAVES = 5
"""As many are to fit into the time; that decides how long the long training is."""
_PATCHES, _PATCH = 64, 96


@dataclass
class _Training:
    """One stack with one seed."""

    stack: Stack
    seed: int
    network: StackNetwork
    steps: TrainingSteps
    first: dict[str, Tensor]
    short: dict[int, Tensor] = field(default_factory=dict)
    curve: dict[int, Tensor] = field(default_factory=dict)

    def begin(self, length: int) -> None:
        with self.steps.on_stream():
            self.network.load_state_dict(self.first)
        self.steps.begin(length)

    @torch.no_grad()
    def measure(self, low: Tensor, high: Tensor) -> Tensor:
        """Return the PSNR of each image of a batch; it is not waited for."""
        with self.steps.on_stream(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return psnr_y_batch(self.network(low.float().div(255)), high, SCALE)


def run(job: Job) -> list[str]:
    """Train waves of stacks until the time is over; returns lines of Markdown."""
    sizes = job.sizes
    longest = max(sizes.stack_steps)
    batches = {}
    for seed in _SEEDS:
        sampler = PatchSampler(job.images.training, SCALE, sizes.stack_patch, job.device, seed)
        batches[seed] = draw_batches(sampler, longest, sizes.batch)
    count, patch = (_PATCHES, _PATCH) if job.cuda else (4, sizes.stack_patch)
    low, high = (patches.to(job.device) for patches in fixed_patches(job.images.held_out, SCALE, patch, count))
    tests = {name: [_tensors(pair, job.device) for pair in pairs] for name, pairs in job.images.tests.items()}
    job.synchronize()

    stacks = _stacks()
    rows: list[dict[str, Any]] = []
    end, wave_seconds = 0, 0.0
    while not rows or job.left > 1.05 * wave_seconds:
        start = time.monotonic()
        chosen = [next(stacks) for _ in range(sizes.stacks)]
        wave = [_training(stack, seed, batches, longest) for stack in chosen for seed in _SEEDS]
        if not end:
            end = _long_training(job, wave, time.monotonic() - start)
        for length in sizes.short_steps:
            _train(wave, length)
            for training in wave:
                training.short[length] = training.measure(low, high)
            job.synchronize()
        _train(wave, end, {length: (low, high) for length in (*sizes.short_steps, end)})
        job.synchronize()
        measured = [
            {name: [training.measure(*pair) for pair in pairs] for name, pairs in tests.items()} for training in wave
        ]
        job.synchronize()
        rows += [_row(job, training, end, psnrs) for training, psnrs in zip(wave, measured, strict=True)]
        del wave, training
        wave_seconds = time.monotonic() - start
    return _summary(job, rows, end, wave_seconds)


def _stacks() -> Iterator[Stack]:
    """Plain stacks first, then random ones, none twice."""
    seen = set(PLAIN)
    yield from PLAIN
    draw = random.Random(0)
    while True:
        stack = random_stack(draw)
        if stack not in seen:
            seen.add(stack)
            yield stack


def _training(stack: Stack, seed: int, batches: dict[int, tuple[Tensor, Tensor]], longest: int) -> _Training:
    lr, hr = batches[seed]
    torch.manual_seed(seed)
    network = stack.build(SCALE).to(lr.device)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return _Training(stack, seed, network, TrainingSteps(network, lr, hr, longest=longest, recorded=_RECORDED), first)


def _long_training(job: Job, wave: list[_Training], preparing: float) -> int:
    """Return how many steps the long training has, so that some waves fit into the time."""
    lengths = sorted(job.sizes.stack_steps)
    steps = min(200, lengths[0])
    _train(wave, steps)
    job.synchronize()
    start = time.monotonic()
    _train(wave, steps)
    job.synchronize()
    seconds = (time.monotonic() - start) / steps
    fitting = [
        length
        for length in lengths
        if _WAVES * (preparing + 1.1 * seconds * (length + sum(job.sizes.short_steps))) < job.left
    ]
    return fitting[-1] if fitting else lengths[0]


def _train(wave: list[_Training], length: int, measured: dict[int, tuple[Tensor, Tensor]] | None = None) -> None:
    """Ask every network of a wave for a whole training; `measured` says after which steps its curve has a point."""
    for training in wave:
        training.begin(length)
    done = 0
    while done < length:
        points = [point for point in measured or () if point > done]
        slice_ = min(_SLICE, length - done, *(point - done for point in points))
        for training in wave:
            training.steps.advance(slice_)
        done += slice_
        if measured and done in measured:
            for training in wave:
                training.curve[done] = training.measure(*measured[done])


def _tensors(pair: ImagePair, device: torch.device) -> tuple[Tensor, Tensor]:
    lr, hr = (torch.from_numpy(image).permute(2, 0, 1)[None].to(device) for image in (pair.lr, pair.hr))
    return lr, hr


def _row(job: Job, training: _Training, end: int, tests: dict[str, list[Tensor]]) -> dict[str, Any]:
    cost = training.stack.cost()
    row = {
        "stack": training.stack.to_dict(),
        "gmacs": cost.gmacs,
        "params": cost.params,
        "seed": training.seed,
        "steps": end,
        "short": {steps: pooled_psnr(values) for steps, values in training.short.items()},
        "curve": {steps: pooled_psnr(values) for steps, values in training.curve.items()},
        "psnr": {name: float(torch.cat(values).mean()) for name, values in tests.items()},
    }
    job.results.add("random_stacks", **row)
    return row


def _summary(job: Job, rows: list[dict[str, Any]], end: int, wave_seconds: float) -> list[str]:
    from scipy.stats import spearmanr

    test = next(iter(job.images.tests))
    stacks = [rows[first : first + len(_SEEDS)] for first in range(0, len(rows), len(_SEEDS))]
    final = np.array([[row["psnr"][test] for row in pair] for pair in stacks])
    best = [stacks[index] for index in np.argsort(-final.mean(1))[:5]]
    noise = float(np.std(final[:, 0] - final[:, 1]) / np.sqrt(2))
    ranks = []
    for steps in job.sizes.short_steps:
        row: list[Any] = [steps]
        for kind in ("short", "curve"):
            # One seed's short training against the long ones of both.
            found = [
                float(spearmanr([pair[seed][kind][steps] for pair in stacks], final.mean(1)).statistic)
                for seed in range(len(_SEEDS))
            ]
            row.append(", ".join(f"{value:.2f}" for value in found))
        ranks.append(row)
    return [
        f"{len(stacks)} stacks (the first {min(len(PLAIN), len(stacks))} plain ones) with {len(_SEEDS)} seeds, "
        f"{end} steps of {job.sizes.batch} patches of {job.sizes.stack_patch} pixels, fp32 with TF32; "
        f"{2 * job.sizes.stacks} at a time took {wave_seconds:.1f} s. {test} at the end: {final.mean():.2f} dB, "
        f"{final.mean(1).min():.2f} to {final.mean(1).max():.2f}; standard deviation between stacks "
        f"{final.mean(1).std():.3f}, between seeds {noise:.3f}.",
        "",
        *table(
            [
                "steps",
                "Spearman of a training of so many steps, by seed",
                "of the long training after so many, by seed",
            ],
            ranks,
        ),
        "",
        *table(
            ["best stacks", "GMAC", f"{test} by seed (dB)"],
            [
                [
                    Stack(**pair[0]["stack"]).name,
                    pair[0]["gmacs"],
                    ", ".join(f"{row['psnr'][test]:.2f}" for row in pair),
                ]
                for pair in best
            ],
        ),
    ]
