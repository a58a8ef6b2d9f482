"""A training of seconds, and the same by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import skimage.data
import torch
from PIL import Image

from hnas_nni import Genotype
from hnas_nni.data import ImagePair, PatchSampler, load_pairs, load_splits
from hnas_nni.network.network import HNASNetwork
from hnas_nni.training import TrainingSettings
from hnas_nni.training.step import Adam, cosine_learning_rate, training_step

LAYERS = 3
GENOTYPE = Genotype.random(5, layers=LAYERS)
TINY: dict[str, Any] = {
    "channels": 2,
    "layers": LAYERS,
    "epochs": 2,
    "steps_per_epoch": 3,
    "batch": 2,
    "patch": 24,
    "seed": 4,
}
"""Settings on the embedded photographs."""


def train_by_hand(settings: TrainingSettings) -> list[dict[str, torch.Tensor]]:
    """Train without Lightning; return the weights after each step."""
    if settings.validation is None:
        splits = load_splits("embedded:photos", settings.scale, patch_size=settings.patch)
        pairs: Sequence[ImagePair] = splits.weight + splits.controller
    else:
        pairs = load_pairs("embedded:photos", settings.scale)
    torch.manual_seed(settings.seed)
    network: HNASNetwork = GENOTYPE.build(settings.scale, settings.channels, settings.layers)
    optimizer = Adam()
    total = settings.epochs * settings.steps_per_epoch
    weights = []
    for step in range(total):
        epoch, first = divmod(step, settings.steps_per_epoch)
        if first == 0:
            sampler = PatchSampler(pairs, settings.scale, settings.patch, seed=settings.seed + 7_368_787 * epoch)
        low, high = sampler.sample(settings.batch)
        training_step(network, optimizer, low, high, cosine_learning_rate(step / total, settings.learning_rate))
        weights.append({name: weight.clone() for name, weight in network.state_dict().items()})
    return weights


@pytest.fixture(scope="session")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with one small photograph that no other set has."""
    folder = tmp_path_factory.mktemp("small")
    Image.fromarray(skimage.data.cat()[100:148, 200:260]).save(folder / "cat.png")
    return str(folder)


@pytest.fixture
def tiny(small_image: str) -> TrainingSettings:
    """Return the settings of a training of seconds; whole photographs would take most of them to validate on."""
    return TrainingSettings(**TINY, validation=small_image)
