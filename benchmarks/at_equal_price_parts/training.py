"""Training any network on the same images, steps and batches, and measuring it on the test sets."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hnas_nni.data import ImagePair, PatchSampler, load_pairs
from hnas_nni.metrics import psnr_y
from hnas_nni.network.over_parameterised import collapse, expand
from hnas_nni.training.step import Adam, cosine_learning_rate, training_step
from hnas_nni.trial.settings import WARM_UP

SCALE = 2
PATCH, BATCH = 48, 16
RATE = 4e-3
"""Highest learning rate, behind a warm-up. After 4,000 steps collapsible stacks of 4 GMAC on luma are as good with it
as with 2e-3, better than with 8e-3; plain ones were better than without a warm-up at any rate."""


class Images:
    """The images of trainings and the test sets.

    Parameters
    ----------
    training
        Folder of HR images, or "embedded:photos" for those that come along.
    tests
        Test sets, as :func:`hnas_nni.data.load_pairs` takes them.
    device
        Where trainings compute.
    """

    def __init__(self, training: str, tests: Sequence[str], device: str = "cpu") -> None:
        self.device = device
        self._training = load_pairs(training, SCALE, minimum_size=PATCH)
        self.tests = {Path(test).name: load_pairs(test, SCALE) for test in tests}

    def train(
        self, build: Callable[[], nn.Module], steps: int, seed: int, rate: float = RATE
    ) -> tuple[nn.Module, float]:
        """Train a network from scratch; returns it and the CPU seconds."""
        torch.manual_seed(seed)
        network = build().to(self.device)
        expand(network)
        sampler = PatchSampler(self._training, SCALE, PATCH, self.device, seed)
        optimizer, start = Adam(), time.process_time()
        for step in range(steps):
            now = cosine_learning_rate(step / steps, rate, rate / 100, WARM_UP)
            training_step(network, optimizer, *sampler.sample(BATCH), now)
        collapse(network)
        return network, time.process_time() - start

    def psnrs(self, network: nn.Module) -> dict[str, float]:
        """Return the mean PSNR on Y of each test set, in dB."""
        return {name: statistics.fmean(_psnr(network, pair) for pair in pairs) for name, pairs in self.tests.items()}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file, a JSON object a line; none if there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _psnr(network: nn.Module, pair: ImagePair) -> float:
    low = torch.from_numpy(pair.lr).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        image = (network(low).clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()
    return psnr_y(image, pair.hr, SCALE)
