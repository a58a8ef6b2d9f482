"""The model of the rewards against linear algebra by other means, and what it makes of results."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.stats
import torch

from strategies.predictor import RewardPredictor, normal_scores

SPACE = list(itertools.product(range(3), range(3), range(2)))


def reward(choices: tuple[int, ...]) -> float:
    """Only the first two decisions matter."""
    return 2.0 * choices[0] - (choices[1] - 1) ** 2


def test_mean_and_deviation_are_those_of_a_gaussian_process() -> None:
    """The textbook's formulas (Rasmussen and Williams, 2006, equation 2.19) with the fitted kernel."""
    known, others = SPACE[::2], SPACE[1::2]
    predictor = RewardPredictor(3)
    predictor.fit(known, [reward(choices) for choices in known])
    mean, deviation = predictor.predict(torch.tensor(others))

    def kernel(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> np.ndarray:
        different = np.array(first)[:, None] != np.array(second)
        return np.exp(-(different @ predictor.weights.numpy()))

    inverse = np.linalg.inv(kernel(known, known) + (predictor.noise + 1e-6) * np.eye(len(known)))
    targets = normal_scores(torch.tensor([reward(choices) for choices in known])).numpy()
    cross = kernel(others, known)
    scale = targets @ inverse @ targets / len(known)
    np.testing.assert_allclose(mean, cross @ inverse @ targets)
    np.testing.assert_allclose(deviation**2, scale * (1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)))


def test_what_matters_is_learnt() -> None:
    predictor = RewardPredictor(3)
    known = [choices for number, choices in enumerate(SPACE) if number % 4 != 1]
    for _ in range(6):
        predictor.fit(known, [reward(choices) for choices in known])
    assert predictor.weights[2] < 0.5 * predictor.weights[:2].min()
    mean, _ = predictor.predict(torch.tensor(SPACE[1::4]))
    unseen = [reward(choices) for choices in SPACE[1::4]]
    assert scipy.stats.spearmanr(mean, unseen).statistic > 0.9


def test_normal_scores_are_those_of_the_ranks() -> None:
    rewards = [3.0, -1e9, 5.0, 3.0, 4.0]
    expected = scipy.stats.norm.ppf((scipy.stats.rankdata(rewards) - 0.5) / 5)
    np.testing.assert_allclose(normal_scores(torch.tensor(rewards, dtype=torch.float64)), expected, atol=1e-9)


def test_the_unknown_is_promising() -> None:
    predictor = RewardPredictor(3)
    predictor.fit([(0, 0, 0), (0, 0, 1), (0, 1, 0)], [1.0, 1.0, 1.0])
    _, deviation = predictor.predict(torch.tensor([(0, 0, 0), (2, 2, 1)]))
    assert deviation[1] >= deviation[0]


def test_equal_rewards_and_one_result_are_no_trouble() -> None:
    predictor = RewardPredictor(3)
    predictor.fit([(0, 0, 0)], [7.0])
    assert torch.isfinite(predictor.promise(torch.tensor(SPACE))).all()
    predictor.fit(SPACE, [7.0] * len(SPACE))
    assert torch.isfinite(predictor.promise(torch.tensor(SPACE))).all()
