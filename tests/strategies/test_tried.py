"""No network is tried twice, however it is written."""

from __future__ import annotations

import pytest

from hnas_nni import Genotype
from hnas_nni.architecture.same_network import network_key
from search_spaces import search_space_json
from strategies import HierarchicalTuner
from strategies.layout import SpaceLayout
from strategies.tried import Tried


@pytest.mark.parametrize("candidates", [1, 16])
def test_a_search_tries_no_network_twice(candidates: int) -> None:
    tuner = HierarchicalTuner(budget=1, candidates=candidates, seed=1)
    tuner.update_search_space(search_space_json(space="efficient"))
    found = []
    for number in range(30):
        sample = tuner.generate_parameters(number)
        found.append(
            network_key(Genotype.from_sample({k: v for k, v in sample.items() if k not in ("lambda", "cost_scale")}))
        )
        tuner.receive_trial_result(number, sample, float(sample["width"]))
    assert len(set(found)) == 30


def test_a_space_of_ones_own_has_no_two_that_are_the_same() -> None:
    layout = SpaceLayout.from_choices({"a/op": ["conv", "pool"], "depth": [1, 2, 3]})
    tried = Tried(layout, [(0, 1), (1, 1), (0, 1)])
    assert len(tried) == 2 and (0, 1) in tried and (0, 2) not in tried
    assert sorted(tried) == [(0, 1), (1, 1)]
    tried.discard((0, 1))
    assert (0, 1) not in tried
