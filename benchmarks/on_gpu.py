"""What the product does on a GPU, in the order of worth, within some minutes.

    python benchmarks/on_gpu.py --minutes 9 --out runs/on_gpu --images ../shared/data
    python benchmarks/on_gpu.py --minutes 3 --out runs/rehearsal --device cpu        a rehearsal, of small sizes

Parts, one after the other: `tests` (those marked cuda), `search_steps` (steps of the weight-sharing search against the
plain version, variants, what bounds them), `shared_search` (the search itself, epochs a second), `full_size` (the
paper's networks and plain stacks under equal time), `throughput` (upscaling) and `random_stacks` (trained to the end,
for the measurement of which short training ranks well). Each has its share of the time, and the last what is left.
A part that fails is noted, and the others go on. Rows go to ``results.jsonl`` as they come; ``page.md`` is printed at
the end. Neither NNI's server nor a network is needed.

`--images` is a folder with ``BSDS500/train``, ``Set5/image_SRF_2`` and ``Set14/image_SRF_2``.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

SHARES = {
    "tests": 0.17,
    "search_steps": 0.2,
    "shared_search": 0.17,
    "full_size": 0.19,
    "throughput": 0.05,
    "random_stacks": 0.22,
}
"""Of the time, in order; what a part leaves is the last one's."""

TITLES = {
    "tests": "Tests marked cuda",
    "search_steps": "Steps of the weight-sharing search",
    "shared_search": "The weight-sharing search",
    "full_size": "Networks of full size under equal time",
    "throughput": "Upscaling",
    "random_stacks": "Random stacks, trained to the end",
}
_LAST_SECONDS = 4.0
"""Kept for the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; returns 2 for bad input."""
    started = time.monotonic()
    options = _options(arguments)
    out: Path = options.out
    used = options.go_on
    if used is None and out.exists() and any(out.iterdir()):
        print(f"on_gpu: {out}: is not empty; give another --out", file=sys.stderr)
        return 2
    if options.images is not None and not options.images.is_dir():
        print(f"on_gpu: {options.images}: no such folder; see --help for what --images is", file=sys.stderr)
        return 2
    end = started - (used or 0.0) + 60 * options.minutes - _LAST_SECONDS
    # Streams beyond these would wait for each other.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("on_gpu: no GPU that torch can use; give --device cpu for a rehearsal", file=sys.stderr)
        return 2
    return _run(options, started - (used or 0.0), end)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="on_gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True, help="for everything, from the start of the command")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets rows, page and the tests' output")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is a rehearsal (cuda)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="of BSDS500, Set5, Set14 (embedded photographs)")
    parser.add_argument("--parts", nargs="+", choices=list(SHARES), default=list(SHARES), help="only these (all)")
    # What a process that starts anew after a fault of the device has used.
    parser.add_argument("--go-on", type=float, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error(f"--minutes: {options.minutes} is not valid; give a number above 0")
    return options


def _run(options: argparse.Namespace, started: float, end: float) -> int:
    import torch
    from on_gpu_parts.job import REHEARSAL, Job, Results, Sizes, load_images

    warnings.filterwarnings("ignore", category=UserWarning)
    results = Results(options.out)
    device = torch.device(options.device)
    if options.go_on is None:
        results.section("On a GPU", _about(options, device))
    work = tempfile.TemporaryDirectory()
    images = load_images(options.images, Path(work.name))
    if options.device == "cpu":
        torch.set_num_threads(1)
    sizes = Sizes() if options.device == "cuda" else REHEARSAL
    rest = [part for part in SHARES if part in options.parts]
    whole = sum(SHARES[part] for part in rest)
    while rest:
        part = rest.pop(0)
        seconds = _share(part, rest, 60 * options.minutes / whole, max(end - time.monotonic(), 0.0))
        job = Job(device, images, sizes, results, seconds)
        print(f"{part}: at {time.monotonic() - started:.0f} s, for {job.seconds:.0f} s", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            lines = _part(part, job)
        except Exception as error:
            traceback.print_exc()
            last = f"{type(error).__name__}: {error}".splitlines()[0]
            results.add(part, error=last, traceback=traceback.format_exc())
            lines = [f"Failed: `{last}`"]
        results.add("time", of=part, seconds=time.monotonic() - begun, given=job.seconds)
        results.section(TITLES[part], lines)
        if rest and not _usable(device):
            _start_anew(options, rest, time.monotonic() - started)
    print(results.page())
    return 0


def _share(part: str, later: Sequence[str], whole: float, left: float) -> float:
    """Return a part's seconds: its share of the whole, or of what is left; the last gets all that is left."""
    if not later:
        return left
    return min(SHARES[part] * whole, left * SHARES[part] / (SHARES[part] + sum(SHARES[name] for name in later)))


def _part(name: str, job: object) -> list[str]:
    import importlib

    part = importlib.import_module(f"on_gpu_parts.{'cuda_tests' if name == 'tests' else name}")
    lines: list[str] = part.run(job)
    return lines


def _about(options: argparse.Namespace, device: object) -> list[str]:
    import torch

    card = "CPU (a rehearsal: the figures mean nothing)"
    if options.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        card = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB, {properties.multi_processor_count} SMs"
    command = shlex.join(["python", *(sys.orig_argv[1:] if sys.orig_argv else sys.argv)])
    return [
        f"- {card}",
        f"- torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, "
        f"Python {platform.python_version()}, {os.cpu_count()} CPU cores",
        f"- `{command}`",
        f"- {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
    ]


def _usable(device: object) -> bool:
    """Whether the device still computes: after some faults a process can't use it any more."""
    import torch

    try:
        return float(torch.ones(2, device=device).sum()) == 2.0  # type: ignore[call-overload]
    except RuntimeError:
        return False


def _start_anew(options: argparse.Namespace, rest: Sequence[str], used: float) -> None:
    """Replace this process by one that does the rest."""
    arguments = ["--minutes", str(options.minutes), "--out", str(options.out), "--device", options.device]
    if options.images is not None:
        arguments += ["--images", str(options.images)]
    arguments += ["--go-on", str(used), "--parts", *rest]
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), *arguments])


if __name__ == "__main__":
    sys.exit(main())
