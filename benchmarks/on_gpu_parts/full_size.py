"""Networks of full size, each trained for the same time: PSNR on the test sets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from hnas_nni import HNAS_A, HNAS_B, HNAS_C
from hnas_nni.cost import Cost, cost_table
from hnas_nni.data import PatchSampler
from hnas_nni.inference import NetworkModel
from hnas_nni.inference.evaluation import evaluate
from hnas_nni.network.first_weights import interpolate
from on_gpu_parts.job import SCALE, Job, Memory, table
from on_gpu_parts.stacks import Stack, StackModel
from on_gpu_parts.training_steps import TrainingSteps, draw_batches

_LONGEST = 100_000
_RECORDED = 10
_BATCHES = 2000
"""Different batches in memory; a longer training sees them again."""

_MEASURING, _TRAINING = 0.1, 0.65
"""Shares of a network's time in which its speed is measured and in which it is trained; the rest is for recording the
graph and for the test sets."""


def networks(job: Job) -> dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module, str], Any], Cost]]:
    """Return by name how each network is built and measured, and what it costs."""
    sizes = job.sizes
    found: dict[str, Any] = {}
    for name, genotype in (("HNAS-A", HNAS_A), ("HNAS-B", HNAS_B), ("HNAS-C", HNAS_C)):
        placed = replace(genotype, position=min(genotype.position, sizes.layers))

        def build(placed: Any = placed) -> nn.Module:
            network: nn.Module = placed.build(SCALE, sizes.full_channels, sizes.layers)
            interpolate(network)
            return network

        def model(network: Any, name: str) -> NetworkModel:
            return NetworkModel(network, name, job.device)

        found[name] = (build, model, cost_table(SCALE, sizes.full_channels, sizes.layers)(placed))
    for name, stack in (
        ("plain stack", Stack(16, ("conv",), 6)),
        ("wide plain stack", Stack(sizes.wide, ("conv",), sizes.deep)),
    ):
        cost = stack.cost(SCALE)

        def stack_model(network: Any, name: str, cost: Cost = cost) -> StackModel:
            return StackModel(network, name, cost)

        found[f"{name}, {stack.name}"] = (stack.build, stack_model, cost)
    return found


def run(job: Job) -> list[str]:
    """Train each for the same time; returns lines of Markdown."""
    sizes = job.sizes
    sampler = PatchSampler(job.images.training, SCALE, sizes.patch, job.device, seed=0)
    lr, hr = draw_batches(sampler, _BATCHES if job.cuda else 20, sizes.batch)
    rows = []
    every = networks(job)
    seconds = job.seconds / len(every)  # also if one takes longer: the time is to be equal
    for name, (build, model, cost) in every.items():
        share = Job(job.device, job.images, job.sizes, job.results, seconds)
        row: dict[str, Any] = {"network": name, "gmacs": cost.gmacs, "params": cost.params}
        try:
            row |= _train(share, build, lambda network, make=model, name=name: make(network, name), lr, hr)
        except Exception as error:  # one network that fails must not keep the others out
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        job.results.add("full_size", **row)
        rows.append(row)
    tests = list(job.images.tests)
    header = [
        "network",
        "GMAC",
        "parameters",
        "steps",
        "steps/s",
        "images/s",
        "GB",
        *(f"{test} (dB)" for test in tests),
    ]
    columns = ["network", "gmacs", "params", "steps", "steps_per_second", "images_per_second", "gigabytes", *tests]
    lines = table(header, [[row.get(column, row.get("error", "-")) for column in columns] for row in rows])
    return [
        f"Equal time: about {_TRAINING * seconds:.0f} s of training each, C = {sizes.full_channels}, "
        f"L = {sizes.layers}, bf16, channels last, batch {sizes.batch}, patch {sizes.patch}, the same "
        "batches, Adam, cosine from 1e-3; a step is replayed as a CUDA graph. Measured in fp32.",
        "",
        *lines,
    ]


def _train(
    job: Job, build: Callable[[], nn.Module], model: Callable[[nn.Module], Any], lr: torch.Tensor, hr: torch.Tensor
) -> dict[str, Any]:
    torch.manual_seed(0)
    memory = Memory(job)
    network = build().to(job.device)
    steps = TrainingSteps(network, lr, hr, longest=_LONGEST, bfloat16=True, recorded=_RECORDED)
    speed = _steps_per_second(job, steps)
    total = int(speed * _TRAINING * job.seconds) // _RECORDED * _RECORDED
    total = min(max(total, _RECORDED), _LONGEST)
    torch.manual_seed(0)
    network.load_state_dict(build().state_dict())
    job.synchronize()
    steps.begin(total)
    job.synchronize()
    start = time.monotonic()
    steps.advance(total)
    job.synchronize()
    seconds = time.monotonic() - start
    row = {
        "steps": total,
        "seconds": seconds,
        "steps_per_second": total / seconds,
        "images_per_second": total * lr.shape[1] / seconds,
        "gigabytes": memory.gigabytes,
    }
    del steps  # and with it the graph's memory
    scores = {name: evaluate(model(network), pairs, name) for name, pairs in job.images.tests.items()}
    ssims = {f"{name}_ssim": score.ssim for name, score in scores.items()}
    return row | ssims | {name: score.psnr for name, score in scores.items()}


def _steps_per_second(job: Job, steps: TrainingSteps) -> float:
    steps.begin(_LONGEST)
    done, start = 0, time.monotonic()
    while not done or time.monotonic() - start < _MEASURING * job.seconds:
        steps.advance(_RECORDED)
        job.synchronize()
        done += _RECORDED
    return done / (time.monotonic() - start)
