"""The tests marked cuda, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from on_gpu_parts.job import Job

_REPOSITORY = Path(__file__).resolve().parents[2]
_SHOWN = 20


def run(job: Job) -> list[str]:
    """Run the tests; returns lines of Markdown."""
    # The slowest and least in question come last.
    files = sorted(
        map(str, (_REPOSITORY / "tests" / "cuda").glob("test_*.py")), key=lambda name: ("exports" in name, name)
    )
    command = [sys.executable, "-m", "pytest", *files, "-m", "cuda", "-p", "no:xdist", "-p", "no:cacheprovider"]
    # Without the options that spread tests over processes.
    command += ["-o", "addopts=", "-rfEs", "--tb=short", "--durations=5"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HNAS_TEST_DEVICE": job.device.type}
    log = job.results.folder / "tests.log"
    with open(log, "w") as file:
        try:
            subprocess.run(
                command, cwd=_REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=job.seconds
            )
            over = ""
        except subprocess.TimeoutExpired:
            over = f"Not done within {job.seconds:.0f} s; "
    text = log.read_text()
    noted = [line for line in text.splitlines() if re.match(r"(FAILED|ERROR|SKIPPED) ", line)]
    last = (text.strip().splitlines() or ["no output"])[-1].strip("= ")
    job.results.add("tests", summary=over + last, noted=noted)
    return [f"{over}{last}", *(f"- `{line}`" for line in noted[:_SHOWN])]
