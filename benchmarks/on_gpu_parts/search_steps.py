"""Steps of the weight-sharing search at paper scale: against the plain version, in variants, and what bounds them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from search_step import EPOCH_ARCHITECTURES, EPOCH_PATCHES, Ours, Plain, draw, epoch, measure
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.data import PatchSampler
from on_gpu_parts import convolutions
from on_gpu_parts.job import SCALE, Job, Memory, table
from on_gpu_parts.training_steps import TrainingSteps, draw_batches
from strategies.search import SearchSettings
from strategies.supernet_policy import Architecture

_STEPS = 12
"""Architectures that both versions run."""
_ROUNDS = 5
"""How often a variant runs every architecture on a GPU."""
_COMPILED_LAYERS = 4
_COMPILING = {"cuda": 30.0, "cpu": 5.0}
"""Seconds that compiling gets at least, by device."""
_PATHS = 4
"""Architectures that the variants run in turn."""


def settings_of(job: Job, precision: str = "32") -> SearchSettings:
    """Return the settings of a search of the job's size."""
    sizes = job.sizes
    return SearchSettings(
        data=job.images.search_data,
        validation=job.images.search_validation,
        layers=sizes.layers,
        channels=sizes.channels,
        batch=sizes.batch,
        patch=sizes.patch,
        precision=precision,
        limit=0 if job.cuda else 2,
    )


def run(job: Job) -> list[str]:
    """Measure all of it; returns lines of Markdown."""
    paths = draw(Ours(settings_of(job), job.device.type).policy, _PATHS, projections=False)
    lines = [*_against_plain(job), "", *_variants(job, paths), "", *_bounds(job, paths)]
    return [*lines, "", *_compiled(job, max(job.left, _COMPILING[job.device.type]))]


def _against_plain(job: Job) -> list[str]:
    """Both versions of both steps, and an epoch of each."""
    steps = _STEPS if job.cuda else 2
    times = {"32": measure(settings_of(job), job.device.type, steps, [Ours, Plain])}
    times["bf16"] = measure(settings_of(job, "bf16"), job.device.type, steps, [Ours])
    settings = settings_of(job)
    rewarded = settings.controller_batch * settings.architectures
    rows: list[list[Any]] = []
    plain = times["32"]
    for kind in ("weights", "controller"):
        seconds = [times["32"][f"ours/{kind}"], times["bf16"][f"ours/{kind}"], plain[f"plain/{kind}"]]
        rows.append([f"{kind} step (ms)", *(1000 * value for value in seconds), seconds[2] / seconds[0]])
    for label, ours_steps, plain_steps in (
        ("patches", EPOCH_PATCHES / rewarded, EPOCH_PATCHES / settings.batch),
        ("architectures", EPOCH_ARCHITECTURES / settings.architectures, EPOCH_ARCHITECTURES),
    ):
        seconds = [epoch(times[precision], "ours", ours_steps) for precision in ("32", "bf16")]
        seconds.append(epoch(plain, "plain", plain_steps))
        rows.append([f"epoch, same {label} (s)", *seconds, seconds[2] / seconds[0]])
    images = [settings.batch / times[precision]["ours/weights"] for precision in ("32", "bf16")]
    rows.append(["images/s in weight steps", *images, settings.batch / plain["plain/weights"], "-"])
    job.results.add("search_steps", what="against_plain", steps=steps, seconds=times)
    return [
        f"L = {settings.layers}, C = {settings.channels}, batch {settings.batch}, patch {settings.patch}, mean of "
        f"{steps} architectures without projections, in turns.",
        "",
        *table(["", "ours, fp32", "ours, bf16", "plain, fp32", "plain / ours, fp32"], rows),
    ]


class _SupernetSteps:
    """The weight step of the search on given architectures."""

    def __init__(self, job: Job, precision: str = "32") -> None:
        self.ours = Ours(settings_of(job, precision), job.device.type)

    def __call__(self, path: Architecture) -> None:
        self.ours.weight_step([path])


class _ContiguousSteps(_SupernetSteps):
    """With the images' channels outermost."""

    def __init__(self, job: Job, precision: str = "32") -> None:
        super().__init__(job, precision)
        for module in self.ours.training.supernet.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.contiguous_format)


class _TorchAdamSteps(_SupernetSteps):
    """With an optimizer of torch that holds all parameters of the supernet."""

    def __init__(self, job: Job, **options: bool) -> None:
        super().__init__(job)
        self.optimizer = torch.optim.Adam(self.ours.training.supernet.parameters(), 1e-3, **options)

    def __call__(self, path: Architecture) -> None:
        lr, hr = self.ours.sampler.sample(self.ours.settings.batch)
        self.ours.policy.activate(path)
        nn.functional.l1_loss(self.ours.training.supernet(lr), hr).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class _Recorded:
    """A path's network on its own; on a GPU its step is one CUDA graph, or not."""

    def __init__(self, job: Job, paths: list[Architecture], *, bfloat16: bool = False, recorded: int = 1) -> None:
        settings = settings_of(job)
        sampler = PatchSampler(job.images.training, SCALE, settings.patch, job.device, seed=0)
        lr, hr = draw_batches(sampler, 4, settings.batch)
        self.seconds: list[float] = []
        self.steps: dict[tuple[int, ...], TrainingSteps] = {}
        for path in paths:
            network = Genotype.from_sample(path.sample).build(SCALE, settings.channels, settings.layers).to(job.device)
            job.synchronize()
            start = time.monotonic()
            steps = TrainingSteps(network, lr, hr, longest=10_000, bfloat16=bfloat16, recorded=recorded)
            job.synchronize()
            self.seconds.append(time.monotonic() - start)
            steps.begin(10_000)
            self.steps[path.choices] = steps

    def __call__(self, path: Architecture) -> None:
        self.steps[path.choices].advance(1)


@contextmanager
def _flags(*, tf32: bool = True, benchmark: bool = False) -> Iterator[None]:
    with torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, allow_tf32=tf32):
        yield


def _variants(job: Job, paths: list[Architecture]) -> list[str]:
    """The weight step in other precisions, formats and ways to run, on the same architectures."""
    made: dict[str, tuple[Callable[[], Callable[[Architecture], None]], dict[str, bool]]] = {
        "fp32 without TF32": (lambda: _SupernetSteps(job), {"tf32": False}),
        "fp32 with TF32 (as it is)": (lambda: _SupernetSteps(job), {}),
        "the same, cuDNN choosing by trial": (lambda: _SupernetSteps(job), {"benchmark": True}),
        "bf16": (lambda: _SupernetSteps(job, "bf16"), {}),
        "fp32, channels outermost": (lambda: _ContiguousSteps(job), {}),
        "bf16, channels outermost": (lambda: _ContiguousSteps(job, "bf16"), {}),
        "fp32, torch's Adam, foreach, all parameters": (lambda: _TorchAdamSteps(job, foreach=True), {}),
        "fp32, torch's Adam, fused, all parameters": (lambda: _TorchAdamSteps(job, fused=True), {}),
        "the path's network alone, fp32": (lambda: _Recorded(job, paths, recorded=0), {}),
        "the path's network as a CUDA graph, fp32": (lambda: _Recorded(job, paths), {}),
        "the path's network as a CUDA graph, bf16": (lambda: _Recorded(job, paths, bfloat16=True), {}),
    }
    rows = []
    batch = settings_of(job).batch
    for name, (make, flags) in made.items():
        memory = Memory(job)
        with _flags(**flags):
            step = make()
            for path in paths:
                step(path)
            times = _times(job, step, paths)
        row = {"milliseconds": 1000 * fmean(times), "images_per_second": batch / fmean(times)}
        row |= {"gigabytes": memory.gigabytes, "recording_seconds": fmean(getattr(step, "seconds", [0.0]))}
        job.results.add("search_steps", what="variant", variant=name, **row)
        rows.append([name, row["milliseconds"], row["images_per_second"], row["recording_seconds"], row["gigabytes"]])
        del step
    return [
        f"Weight steps on {len(paths)} architectures in turn:",
        "",
        *table(["variant", "ms a step", "images/s", "made ready in (s a path)", "GB"], rows),
    ]


def _times(job: Job, step: Callable[[Architecture], None], paths: list[Architecture]) -> list[float]:
    times: list[float] = []
    for _ in range(_ROUNDS if job.cuda else 1):
        for path in paths:
            job.synchronize()
            start = time.perf_counter()
            step(path)
            job.synchronize()
            times.append(time.perf_counter() - start)
    return times


def _bounds(job: Job, paths: list[Architecture]) -> list[str]:
    """Where the time of a weight step goes: kernels, the gaps between them, and how near they come to the roof."""
    lines = []
    for precision in ("32", "bf16"):
        steps = _SupernetSteps(job, precision)
        for path in paths:
            steps(path)
        seconds = fmean(_times(job, steps, paths))
        row = {"precision": precision, "milliseconds": 1000 * seconds} | _kernels(job, steps, paths)
        row |= _roof(job, steps.ours, paths, precision == "bf16", seconds)
        job.results.add("search_steps", what="bounds", **row)
        top = ", ".join(f"`{name}` {share:.0%}" for name, share in row["top_kernels"])
        lines += [
            f"{'fp32' if precision == '32' else precision}: {row['milliseconds']:.1f} ms a step, of which kernels run "
            f"{row['kernel_milliseconds']:.1f} ms ({row['kernels']:.0f} kernels); convolutions do "
            f"{row['gflops']:.1f} GFLOP a step, "
            f"{row['teraflops']:.3g} TFLOP/s. The same convolutions one after the other, alone and recorded, take "
            f"{row['alone_milliseconds']:.2f} ms ({row['alone_teraflops']:.3g} TFLOP/s): the step reaches "
            f"{row['share_of_roof']:.1%} of that roof. Most time of kernels: {top}. Slowest convolutions of the roof: "
            + ", ".join(f"{name} ({share:.0%})" for name, share in row["top_shapes"])
            + ".",
            "",
        ]
    return lines


def _kernels(job: Job, step: Callable[[Architecture], None], paths: list[Architecture]) -> dict[str, Any]:
    """Number and time of a step's kernels (on a CPU: of torch's operations, inner ones again)."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if job.cuda else [])
    with profile(activities=activities) as profiled:
        for path in paths:
            step(path)
        job.synchronize()
    wanted = DeviceType.CUDA if job.cuda else DeviceType.CPU
    events = [
        event
        for event in profiled.events()
        if event.device_type == wanted and not getattr(event, "is_user_annotation", False)
    ]
    by_name: Counter[str] = Counter()
    for event in events:
        by_name[event.name[:60]] += event.time_range.elapsed_us()
    total = sum(by_name.values())
    return {
        "kernels": len(events) / len(paths),
        "kernel_milliseconds": total / 1000 / len(paths),
        "top_kernels": [(name, value / max(total, 1e-9)) for name, value in by_name.most_common(8)],
    }


def _roof(job: Job, ours: Ours, paths: list[Architecture], bfloat16: bool, seconds: float) -> dict[str, Any]:
    """What the convolutions of a step take alone."""
    lr, _ = ours.sampler.sample(ours.settings.batch)
    counted: Counter[convolutions.Shape] = Counter()
    macs = 0
    for path in paths:
        ours.policy.activate(path)
        shapes, more = convolutions.shapes_and_macs(ours.training.supernet, ours.training.supernet, lr)
        counted += shapes
        macs += more
    alone = {shape: convolutions.seconds_alone(job, shape, bfloat16) for shape in counted}
    by_shape = Counter({shape: count * alone[shape] for shape, count in counted.items()})
    total = sum(by_shape.values()) / len(paths)
    flops = convolutions.flops(macs) / len(paths)
    return {
        "gflops": flops / 1e9,
        "teraflops": flops / seconds / 1e12,
        "alone_milliseconds": 1000 * total,
        "alone_teraflops": flops / total / 1e12,
        "share_of_roof": total / seconds,
        "top_shapes": [(shape.name, value / total / len(paths)) for shape, value in by_shape.most_common(5)],
    }


def _compiled(job: Job, seconds: float) -> list[str]:
    """torch.compile on one path, in a process that can be ended when the time is over."""
    settings = settings_of(job)
    script = Path(__file__).with_name("compiled_step.py")
    layers = min(settings.layers, _COMPILED_LAYERS)
    numbers = (layers, settings.channels, settings.batch, settings.patch)
    command = [sys.executable, str(script), job.device.type, *map(str, numbers)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the compiler has processes of its own
        process.communicate()
        job.results.add("search_steps", what="compiled", error="time", seconds=seconds, layers=layers)
        return [f"torch.compile of a path of {layers} blocks: not done within {seconds:.0f} s."]
    last = (output.strip().splitlines() or ["no output"])[-1]
    if process.returncode:
        job.results.add("search_steps", what="compiled", error=last)
        return [f"torch.compile of a path of {layers} blocks failed: {last}"]
    row = json.loads(last)
    job.results.add("search_steps", what="compiled", layers=layers, **row)
    return [
        f"torch.compile of a path of {layers} blocks, bf16: {row['compile_seconds']:.1f} s until the first step is "
        f"done, then "
        f"{row['compiled_milliseconds']:.2f} ms a step against {row['eager_milliseconds']:.2f} ms without."
    ]
