"""What a tuner hands to a trial: an architecture and, if the tuner decides it, the reward's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hnas_nni.architecture.cells import is_int
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.trial.reward import JointReward

LAMBDA = "lambda"
COST_SCALE = "cost_scale"
STAGE = "stage"
STEPS = "steps"
WEIGHTS_AT = "weights_at"
OF_TUNER = (LAMBDA, COST_SCALE, STAGE, STEPS, WEIGHTS_AT)
"""What a tuner adds to an architecture."""


@dataclass(frozen=True)
class Stage:
    """How far a trial goes in a search by successive halving.

    Parameters
    ----------
    number
        Counted from 1; from the second on a trial goes on from the weights of the one before.
    steps
        To train on.
    """

    number: int
    steps: int

    def __post_init__(self) -> None:
        for name, value in ((STAGE, self.number), (STEPS, self.steps)):
            if not is_int(value) or value < 1:
                raise ValueError(f"{name}: {value!r} is not valid; a tuner gives an integer of at least 1")

    def to_nni(self) -> dict[str, Any]:
        """Return the entries that a tuner adds to its samples."""
        return {STAGE: self.number, STEPS: self.steps}

    def seed(self, seed: int) -> int:
        """Return the seed of the stage's draws, from that of the trial: stages draw other batches than those before."""
        return seed + 7_368_787 * (self.number - 1)


@dataclass(frozen=True)
class TrialParameters:
    """The hyper-parameters of one trial.

    Parameters
    ----------
    genotype
        The architecture to evaluate.
    reward
        How to reward it, or None where that is left to the trial's own options, as with NNI's built-in tuners.
    stage
        How far to go, or None where that is left to the trial's own options.
    weights_at
        Where trials on several machines have weights in common, or None.
    """

    genotype: Genotype
    reward: JointReward | None = None
    stage: Stage | None = None
    weights_at: str | None = None

    @classmethod
    def from_nni(cls, parameters: Mapping[str, Any]) -> TrialParameters:
        """Read the parameters that NNI hands to a trial.

        Raises
        ------
        ValueError
            If a label is missing or unknown or a value is not valid; the message names it.
        """
        sample = dict(parameters)
        weights_at = sample.pop(WEIGHTS_AT, None)
        if not isinstance(weights_at, (str, type(None))):
            raise ValueError(f"{WEIGHTS_AT}: not an address, which a tuner gives as text")
        reward = None
        if LAMBDA in sample:
            reward = JointReward(sample.pop(LAMBDA), sample.pop(COST_SCALE, JointReward.cost_scale))
        stage = None
        if STAGE in sample:
            if STEPS not in sample:
                raise ValueError(f"{STEPS}: missing, but there is a {STAGE}")
            stage = Stage(sample.pop(STAGE), sample.pop(STEPS))
        return cls(Genotype.from_sample(sample), reward, stage, weights_at)


def reward_parameters(reward: JointReward) -> dict[str, float]:
    """Return the entries that a tuner adds to its samples, so that trials know how to reward them."""
    return {LAMBDA: reward.weight, COST_SCALE: reward.cost_scale}
