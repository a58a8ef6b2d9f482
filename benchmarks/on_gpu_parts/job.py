"""What every part is given: the device, the images, sizes, the time that it has, and where its results go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from hnas_nni.data import ImagePair, load_pairs

SCALE = 2
_CUTTING = 180


@dataclass(frozen=True)
class Sizes:
    """How large the parts' networks and batches are.

    Parameters
    ----------
    layers, channels, batch, patch
        L, C, patches in a step and HR pixels of their sides, in a search.
    full_channels
        C of the networks that are trained at full size.
    wide, deep
        Width and number of convolutions of the plain stack that costs what HNAS-A does.
    picture
        Height and width of the picture that is upscaled, in LR pixels.
    stack_patch
        HR pixels of the sides of the random stacks' patches.
    stack_steps
        Lengths that the random stacks may be trained for, the longest that fits.
    short_steps
        Lengths of their short trainings.
    stacks
        Random stacks that are trained at the same time.
    """

    layers: int = 12
    channels: int = 8
    batch: int = 16
    patch: int = 96
    full_channels: int = 64
    wide: int = 128
    deep: int = 8
    picture: tuple[int, int] = (1080, 1920)
    stack_patch: int = 48
    stack_steps: tuple[int, ...] = (10_000, 6_000, 4_000, 2_000)
    short_steps: tuple[int, ...] = (80, 160, 320, 640, 1280)
    stacks: int = 12


REHEARSAL = Sizes(
    layers=2,
    channels=4,
    batch=2,
    patch=24,
    full_channels=4,
    wide=12,
    deep=3,
    picture=(60, 96),
    stack_patch=24,
    stack_steps=(30,),
    short_steps=(10, 20),
    stacks=2,
)
"""So small that every part can be tried on a CPU within seconds."""


@dataclass(frozen=True)
class Images:
    """Images to train and to measure on.

    Parameters
    ----------
    search_data, search_validation
        What :class:`strategies.search.SearchSettings` takes for its images.
    training, held_out
        Pairs to train on, and pairs of the same kind that are only measured.
    tests
        Test sets by their names.
    """

    search_data: tuple[str, ...]
    search_validation: str | None
    training: list[ImagePair]
    held_out: list[ImagePair]
    tests: dict[str, list[ImagePair]]


def load_images(folder: Path | None, work: Path) -> Images:
    """Load ``BSDS500/train``, ``Set5`` and ``Set14`` from a folder.

    Parameters
    ----------
    folder
        None for cuttings of the embedded photographs, for a rehearsal.
    work
        An empty folder for these.
    """
    if folder is None:
        for pair in load_pairs("embedded:photos", SCALE):
            Image.fromarray(pair.hr[100:_CUTTING, 100:_CUTTING]).save(work / f"{pair.name}.png")
        pairs = load_pairs(work, SCALE)
        return Images((str(work),), None, pairs[:-2], pairs[-2:], {"photos": pairs[-2:]})
    training = folder / "BSDS500" / "train"
    tests = {name: folder / name / f"image_SRF_{SCALE}" for name in ("Set5", "Set14")}
    pairs = load_pairs(training, SCALE)
    held_out = max(len(pairs) // 10, 1)
    return Images(
        (str(training),),
        str(tests["Set5"]),
        pairs[:-held_out],
        pairs[-held_out:],
        {name: load_pairs(path, SCALE) for name, path in tests.items()},
    )


class Results:
    """Rows of JSON, each written as soon as it is there, and a page of Markdown made of them.

    Parameters
    ----------
    folder
        Gets ``results.jsonl`` and ``page.md``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def path(self) -> Path:
        """The file of rows."""
        return self.folder / "results.jsonl"

    def add(self, part: str, **row: Any) -> None:
        """Write a row."""
        with open(self.path, "a") as file:
            file.write(json.dumps({"part": part, **row}) + "\n")

    def section(self, title: str, lines: Iterable[str]) -> None:
        """Add a section to the page."""
        self.add("page", title=title, lines=list(lines))
        (self.folder / "page.md").write_text(self.page())

    def page(self) -> str:
        """Return the page so far."""
        rows = [json.loads(line) for line in self.path.read_text().splitlines()]
        sections = [[f"## {row['title']}", "", *row["lines"], ""] for row in rows if row["part"] == "page"]
        return "\n".join(line for section in sections for line in section)


@dataclass
class Job:
    """A part's share of the work.

    Parameters
    ----------
    device
        Where to compute.
    images
        To train and to measure on.
    sizes
        Of networks and batches.
    results
        Where rows go.
    seconds
        That the part may take, from now on.
    """

    device: torch.device
    images: Images
    sizes: Sizes
    results: Results
    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.started + self.seconds - time.monotonic()

    def within(self, seconds: float) -> Job:
        """Return the same job with at most so many seconds of what is left, from now on."""
        return Job(self.device, self.images, self.sizes, self.results, min(seconds, max(self.left, 0.0)))

    def synchronize(self) -> None:
        """Wait until the device has done its work."""
        if self.cuda:
            torch.cuda.synchronize(self.device)


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """Return the lines of a Markdown table; numbers get three significant digits at least."""
    titles = list(header)
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    return lines + [f"| {' | '.join(map(_shown, row))} |" for row in rows]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


class Memory:
    """The most GPU memory that is taken from now on, on top of what is taken now; always 0 on a CPU."""

    def __init__(self, job: Job) -> None:
        self._job = job
        if job.cuda:
            torch.cuda.reset_peak_memory_stats(job.device)
            self._before = torch.cuda.memory_allocated(job.device)

    @property
    def gigabytes(self) -> float:
        """How much that was, in GB."""
        if not self._job.cuda:
            return 0.0
        return (torch.cuda.max_memory_allocated(self._job.device) - self._before) / 1e9
