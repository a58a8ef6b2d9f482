"""Derivation: which architectures a trained policy and its supernet recommend (paper, section II-D)."""

from __future__ import annotations

from dataclasses import replace

from tqdm import tqdm

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.paper import paper_networks
from hnas_nni.searches.pareto import pareto_set
from hnas_nni.searches.record import MeasuredArchitecture, best_first
from hnas_nni.trial.reward import JointReward
from strategies.search.supernet_training import SupernetTraining
from strategies.supernet_policy import Architecture, SupernetPolicy


def measure(architecture: Architecture, training: SupernetTraining, reward: JointReward) -> MeasuredArchitecture:
    """Return what an architecture reaches on the validation images with the shared weights of now, and its cost."""
    psnr = training.validation_psnr(architecture)
    cost = training.cost(architecture)
    return MeasuredArchitecture(
        genotype=Genotype.from_sample(architecture.sample),
        reward=reward(psnr, cost.gmacs),
        psnr=psnr,
        gmacs=cost.gmacs,
        params=cost.params,
        reward_weight=reward.weight,
    )


def derive(
    policy: SupernetPolicy,
    training: SupernetTraining,
    reward: JointReward,
    candidates: int,
    rank_by: str = "reward",
    progress: bool = False,
) -> list[MeasuredArchitecture]:
    """Draw architectures from the policy, measure them with shared weights on the validation images, and rank them.

    Parameters
    ----------
    policy, training
        After the search.
    reward
        Joins PSNR and cost.
    candidates
        How many different architectures to draw; fewer come if a settled policy has no more.
    rank_by
        "reward" or, as in the paper, "psnr".
    progress
        Show a progress bar on standard error.

    Returns
    -------
    list of MeasuredArchitecture
        Best first, with their ranks and whether they are in the Pareto set.
    """
    drawn = tqdm(policy.draw_distinct(candidates), desc="derive", disable=not progress)
    ranking = best_first((measure(architecture, training, reward) for architecture in drawn), rank_by)
    front = pareto_set([(entry.psnr, entry.gmacs) for entry in ranking])
    return [replace(entry, rank=index + 1, pareto=index in front) for index, entry in enumerate(ranking)]


def measure_paper_networks(
    policy: SupernetPolicy, training: SupernetTraining, reward: JointReward, layers: int
) -> list[MeasuredArchitecture]:
    """Measure the paper's cells in networks of the search's size as :func:`derive` measures its candidates.

    They show where the search's architectures stand, and take no part in the ranking. In networks of fewer blocks
    than the paper's the upsampling cell comes last (:func:`hnas_nni.architecture.paper.paper_networks`).
    """
    return [
        replace(measure(policy.architecture_of(genotype.to_sample()), training, reward), published=name)
        for name, genotype in paper_networks(layers).items()
    ]
