"""The published results against what else is known of them."""

from __future__ import annotations

import pytest

from hnas_nni.architecture.peers import PEERS
from hnas_nni.report.published_results import PUBLISHED_RESULTS, SETS, SOURCE, TODAYS_REFERENCES


def test_todays_references() -> None:
    """Set5 x2, as they are quoted everywhere."""
    found = {result.method: result.scores["Set5"] for result in TODAYS_REFERENCES}
    assert found == {
        "IMDN": (38.00, 0.9605),
        "RFDN": (38.05, 0.9606),
        "RLFN": (38.07, 0.9607),
        "SAFMN": (38.00, 0.9605),
        "ShuffleMixer": (38.01, 0.9606),
        "LatticeNet": (38.15, 0.9610),
        "SwinIR-light": (38.14, 0.9611),
    }
    assert all(result.source in SOURCE for result in TODAYS_REFERENCES)


def test_every_result_is_a_plausible_one() -> None:
    """Better than bicubic on every set of the paper; a slip of a digit would show."""
    bicubic, *others = PUBLISHED_RESULTS
    for result in others:
        for name, (psnr, ssim) in result.scores.items():
            assert name in SETS
            low = bicubic.scores.get(name, (30.8, 0.9339))  # Manga109: that of bicubic in the literature
            assert low[0] + 1 < psnr < low[0] + 9 and low[1] < ssim < 0.98


@pytest.mark.parametrize("result", [r for r in PUBLISHED_RESULTS if r.method in PEERS], ids=lambda r: r.method)
def test_costs_are_those_of_the_networks(result: object) -> None:
    """But for RFDN, whose published multiply-adds are of another network than its parameters, and CARN-M's biases."""
    method, gmacs, kilo_params = result.method, result.gmacs, result.kilo_params  # type: ignore[attr-defined]
    cost = PEERS[method].cost(2)
    if method != "RFDN":
        assert cost.gmacs == pytest.approx(gmacs, rel=0.011)
    assert cost.params / 1e3 == pytest.approx(kilo_params, rel=0.01)
