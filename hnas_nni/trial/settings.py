"""How the trials of a search evaluate architectures."""

from __future__ import annotations

from dataclasses import dataclass

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings import EMBEDDED, FIRST_WEIGHTS, Setting, Settings, shared
from hnas_nni.trial.budget import Budget, budget_of

PAPER_LEARNING_RATE = 3e-4
"""Of trials in the paper's space. With the paper's 1e-3 a trial of some hundred steps loses more of the interpolation
that it starts from, or of what earlier trials learnt, than it gains."""

LEARNING_RATE = 2e-3
"""Of trials in the efficient space, with :data:`WARM_UP`."""

WARM_UP = 0.1
"""Share of the steps of a trial in the efficient space over which its learning rate climbs to that. Without, seven
collapsible convolutions of 16 channels are 0.5 dB worse after 400 steps at 1e-3, and 1.5 dB at 2e-3."""


@dataclass(frozen=True)
class TrialSettings(Settings):
    """How architectures are evaluated; the same for all trials of a search.

    C and L are those of architectures that leave them open. A trial decodes its images anew: `limit` saves it time.
    `first_weights` are for whatever no earlier trial has trained. Together with the trial's number the
    seed decides initial weights and batches.
    """

    data: str = shared.DATA(EMBEDDED)
    limit: int = shared.LIMIT(0)
    smaller_copies: bool = shared.SMALLER_COPIES(False)
    scale: int = shared.SCALE(2)
    channels: int = shared.CHANNELS(8)
    layers: int = shared.LAYERS(DEFAULT_LAYERS)
    steps: int = shared.STEPS(100)
    batch: int = shared.BATCH(16)
    patch: int = shared.PATCH(96)
    learning_rate: float | None = shared.LEARNING_RATE(
        None,
        optional=True,
        help=f"{shared.LEARNING_RATE.help} (default: {PAPER_LEARNING_RATE} in the paper's space, else {LEARNING_RATE})",
    )
    measured_patches: int = shared.MEASURED_PATCHES(32)
    reports: int = Setting(int, "intermediate results to report", least=1, group="training")(5)
    first_weights: str = FIRST_WEIGHTS("interpolation", help=f"{FIRST_WEIGHTS.help}; give these --learning-rate 1e-3")
    seed: int = shared.SEED(0, help="decides weights, batches and the split of the images")
    device: str = shared.DEVICE("auto")
    threads: int = shared.THREADS(0)
    budget: float | None = shared.BUDGET(None, help="reward what has more than X billion multiply-adds below all else")
    budget_params: float | None = shared.BUDGET_PARAMS(None, help="the same for more than X parameters")
    budget_ms: float | None = shared.BUDGET_MS(None)
    latency: str | None = shared.LATENCY(None)

    def bound(self) -> Budget | None:
        """Return the budget, None if there is none."""
        return budget_of(self)
