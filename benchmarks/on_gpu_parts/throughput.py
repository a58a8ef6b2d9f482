"""Upscaling: megapixels a second and memory, by the product's own door and as the bare network in bf16."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from hnas_nni.inference import enlarge
from on_gpu_parts.full_size import networks
from on_gpu_parts.job import SCALE, Job, Memory, table


def run(job: Job) -> list[str]:
    """Upscale one picture by every network; returns lines of Markdown."""
    height, width = job.sizes.picture
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows = []
    every = networks(job)
    for number, (name, (build, model, cost)) in enumerate(every.items()):
        share = job.within(job.left / (len(every) - number))
        torch.manual_seed(0)
        row: dict[str, Any] = {"network": name, "gmacs": cost.gmacs}
        try:
            row |= _measure(share, model(build().to(job.device), name), picture)
        except Exception as error:  # as too little memory, of one network
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        job.results.add("throughput", **row)
        rows.append(row)
    columns = ["network", "gmacs", "megapixels_per_second", "gigabytes", "bf16", "bf16_gigabytes"]
    return [
        f"{width}x{height} to {SCALE * width}x{SCALE * height}, C = {job.sizes.full_channels}; megapixels of the "
        "result. `enlarge` is fp32 without TF32, from main memory to main memory, in tiles if it chooses so; bf16 is "
        "the network alone on the device, the whole picture at once, channels last.",
        "",
        *table(
            ["network", "GMAC at 480x480", "`enlarge` (MP/s)", "GB", "bf16 (MP/s)", "GB"],
            [[row.get(column, row.get("error", "-")) for column in columns] for row in rows],
        ),
    ]


def _measure(job: Job, model: Any, picture: np.ndarray) -> dict[str, Any]:
    megapixels = picture[..., 0].size * SCALE**2 / 1e6
    memory = Memory(job)
    row: dict[str, Any] = {"megapixels_per_second": megapixels / _seconds(job, lambda: enlarge(picture, model), 0.5)}
    row["gigabytes"] = memory.gigabytes
    lr = torch.from_numpy(picture).to(job.device).permute(2, 0, 1)[None].float().div(255)

    @torch.inference_mode()
    def forward() -> None:
        with torch.autocast(job.device.type, torch.bfloat16):
            model.network(lr)

    memory = Memory(job)
    try:
        row["bf16"] = megapixels / _seconds(job, forward, 1.0)
        row["bf16_gigabytes"] = memory.gigabytes
    except torch.OutOfMemoryError:
        row["bf16"] = "too little memory"
    return row


def _seconds(job: Job, work: Any, share: float) -> float:
    """Return the median time, over as many runs as fit into a share of the time that is left, at most 20."""
    work()
    job.synchronize()
    end = time.monotonic() + share * job.left
    times: list[float] = []
    while not times or (time.monotonic() < end and len(times) < 20):
        start = time.perf_counter()
        work()
        job.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
