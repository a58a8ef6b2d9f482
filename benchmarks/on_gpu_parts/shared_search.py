"""The weight-sharing search at paper scale, stopped when its time is over: epochs a second."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from on_gpu_parts.job import Job, Memory, table
from strategies.search import SearchSettings, WeightSharingSearch

_SHARES = {"32": 0.6, "bf16": 0.4}
"""Of the time, by precision."""


class _TimeIsOverError(Exception):
    """Ends a search."""


def run(job: Job) -> list[str]:
    """Search with both precisions; returns lines of Markdown."""
    total, rows = job.left, []
    for precision, share in _SHARES.items():
        row = _search(job.within(total * share), precision)
        job.results.add("shared_search", **row)
        rows.append(row)
    settings = _settings(job, "32")
    hours = f"{settings.epochs} epochs (hours)"
    return [
        f"L = {settings.layers}, C = {settings.channels}, batch {settings.batch}, patch {settings.patch}; an epoch is "
        f"{settings.weight_steps} steps of the weights, {settings.controller_steps} of the controller on "
        f"{settings.architectures} architectures and {settings.controller_batch} patches each, "
        f"{settings.validation_architectures} architectures on the validation images, and a checkpoint.",
        "",
        *table(
            ["precision", "epochs", "seconds an epoch", hours, "PSNR, first and last epoch (dB)", "GB"],
            [
                [
                    row["precision"],
                    row["epochs"],
                    row["epoch_seconds"],
                    row["epoch_seconds"] * settings.epochs / 3600,
                    f"{row['psnrs'][0]:.2f}, {row['psnrs'][-1]:.2f}",
                    row["gigabytes"],
                ]
                for row in rows
            ],
        ),
    ]


def _settings(job: Job, precision: str) -> SearchSettings:
    sizes = job.sizes
    small: dict[str, Any] = {}
    if not job.cuda:
        small = {"weight_steps": 2, "controller_steps": 1, "controller_batch": 2, "architectures": 2, "limit": 2}
    return SearchSettings(
        data=job.images.search_data,
        validation=job.images.search_validation,
        layers=sizes.layers,
        channels=sizes.channels,
        batch=sizes.batch,
        patch=sizes.patch,
        device=job.device.type,
        precision=precision,
        **small,
    )


def _search(job: Job, precision: str) -> dict[str, Any]:
    rows: list[dict[str, float]] = []

    def note(row: dict[str, float]) -> None:
        rows.append(row)
        if job.left <= 0:
            raise _TimeIsOverError

    memory = Memory(job)
    with tempfile.TemporaryDirectory() as folder, suppress(_TimeIsOverError):
        WeightSharingSearch(_settings(job, precision), Path(folder) / "search", on_epoch=note).run()
    ends = [0.0, *(row["seconds"] for row in rows)]
    lengths = [end - start for start, end in pairwise(ends)]
    return {
        "precision": precision,
        "epochs": len(rows),
        # The first epoch warms up.
        "epoch_seconds": statistics.median(lengths[1:] or lengths),
        "first_epoch_seconds": lengths[0],
        "psnrs": [row["validation_psnr"] for row in rows],
        "gigabytes": memory.gigabytes,
    }
