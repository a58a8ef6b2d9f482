"""How long a trial takes until its first training step, against a bare ``import torch, nni``.

    python benchmarks/trial_start.py

Both are processes of their own, run in turns. The trial is the one of config.yml: it imports nni, decodes the
photographs, cuts the patches it measures on, and stops where the first step would begin.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_BARE = "import torch, nni, os; os._exit(0)"
_TRIAL = """
import nni, os, sys
from pathlib import Path
from hnas_nni import Genotype, trial, training
from hnas_nni.trial.reward import JointReward
training.training_step = lambda *arguments: os._exit(0)
settings = trial.TrialSettings(layers=6, batch=8, patch=48, threads=1)
trial.evaluate(Genotype.random(0, 6), JointReward(), settings, shared_weights=Path(sys.argv[1]))
"""


def _seconds(code: str, *arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default: 7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "shared_weights.sqlite")
        _seconds(_BARE), _seconds(_TRIAL, weights)  # fill the disk's cache
        pairs = [(_seconds(_BARE), _seconds(_TRIAL, weights)) for _ in range(options.rounds)]
    bare, trial = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"import torch, nni              {bare:.2f} s")
    print(f"trial to its first step        {trial:.2f} s")
    print(f"ratio (median of {options.rounds} rounds)     {statistics.median(t / b for b, t in pairs):.2f}")


if __name__ == "__main__":
    main()
