"""How the trials of a search evaluate architectures."""

from __future__ import annotations

from dataclasses import dataclass

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, Setting, Settings, shared


@dataclass(frozen=True)
class TrialSettings(Settings):
    """How architectures are evaluated; the same for all trials of a search.

    A trial decodes its images anew: `limit` saves it time. The learning rate is less than the paper's 1e-3, with which
    a trial of some hundred steps loses more of the interpolation that it starts from, or of what earlier trials learnt,
    than it gains. `first_weights` are for whatever no earlier trial has trained. Together with the trial's number the
    seed decides initial weights and batches.
    """

    data: str = shared.DATA(EMBEDDED)
    limit: int = shared.LIMIT(0)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(8)
    layers: int = shared.LAYERS(DEFAULT_LAYERS)
    steps: int = shared.STEPS(100)
    batch: int = shared.BATCH(16)
    patch: int = shared.PATCH(96)
    learning_rate: float = shared.LEARNING_RATE(3e-4)
    measured_patches: int = shared.MEASURED_PATCHES(32)
    reports: int = Setting(int, "intermediate PSNRs to report", least=1, group="training")(5)
    first_weights: str = FIRST_WEIGHTS("interpolation", help=f"{FIRST_WEIGHTS.help}; give these --learning-rate 1e-3")
    seed: int = shared.SEED(0, help="decides weights, batches and the split of the images")
    device: str = shared.DEVICE("auto")
    threads: int = shared.THREADS(0)
