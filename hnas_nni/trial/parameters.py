"""What a tuner hands to a trial: an architecture and, if the tuner decides it, the reward's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.trial.reward import JointReward

LAMBDA = "lambda"
COST_SCALE = "cost_scale"


@dataclass(frozen=True)
class TrialParameters:
    """The hyper-parameters of one trial.

    Parameters
    ----------
    genotype
        The architecture to evaluate.
    reward
        How to reward it, or None where that is left to the trial's own options, as with NNI's built-in tuners.
    """

    genotype: Genotype
    reward: JointReward | None = None

    @classmethod
    def from_nni(cls, parameters: Mapping[str, Any]) -> TrialParameters:
        """Read the parameters that NNI hands to a trial.

        Raises
        ------
        ValueError
            If a label is missing or unknown or a value is not valid; the message names it.
        """
        sample = dict(parameters)
        reward = None
        if LAMBDA in sample:
            reward = JointReward(sample.pop(LAMBDA), sample.pop(COST_SCALE, JointReward.cost_scale))
        return cls(Genotype.from_sample(sample), reward)


def reward_parameters(reward: JointReward) -> dict[str, float]:
    """Return the entries that a tuner adds to its samples, so that trials know how to reward them."""
    return {LAMBDA: reward.weight, COST_SCALE: reward.cost_scale}
