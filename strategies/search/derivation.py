"""Derivation: which architectures a trained policy and its supernet recommend (paper, section II-D)."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from hnas_nni.genotype import Genotype
from hnas_nni.pareto import pareto_set
from hnas_nni.reward import JointReward
from strategies.search.supernet_training import SupernetTraining
from strategies.supernet_policy import SupernetPolicy


def derive(
    policy: SupernetPolicy,
    training: SupernetTraining,
    reward: JointReward,
    candidates: int,
    rank_by: str = "reward",
    progress: bool = False,
) -> list[dict[str, Any]]:
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
    list of dict
        Best first, with the columns :data:`hnas_nni.run_folder.ARCHITECTURE_COLUMNS` and :class:`Genotype` objects.
    """
    rows: list[dict[str, Any]] = []
    for architecture in tqdm(policy.draw_distinct(candidates), desc="derive", disable=not progress):
        psnr = training.validation_psnr(architecture)
        cost = training.cost(architecture)
        genotype = Genotype.from_sample(architecture.sample)
        rows.append(
            {
                "reward": reward(psnr, cost.gmacs),
                "psnr": psnr,
                "gmacs": cost.gmacs,
                "params": cost.params,
                "position": genotype.position,
                "genotype": genotype,
            }
        )
    rows.sort(key=lambda row: (-row[rank_by], row["gmacs"]))
    front = pareto_set([(row["psnr"], row["gmacs"]) for row in rows])
    columns = ("reward", "psnr", "gmacs", "params", "position")
    return [
        {
            "rank": rank,
            **{name: row[name] for name in columns},
            "pareto": int(rank - 1 in front),
            "genotype": row["genotype"],
        }
        for rank, row in enumerate(rows, start=1)
    ]
