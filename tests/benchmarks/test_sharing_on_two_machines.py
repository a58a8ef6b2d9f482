"""The comparison of shared weights on two machines: equal architectures, and each compared with itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY

from hnas_nni import Genotype
from search_spaces import search_space_json


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("benchmarks")
def test_architectures_are_those_of_the_seed_whatever_their_results_and_however_many_are_asked_for_at_once() -> None:
    from sharing_on_two_machines_parts.given_architectures import GivenArchitectures

    def proposed(asked: list[list[int]], rewards: list[float]) -> list[Genotype]:
        tuner = GivenArchitectures(draw=3, layers=4, seed=3, candidates=1, **{"lambda": 0.6})
        tuner.update_search_space(search_space_json(4))
        found: list[Genotype] = []
        for numbers in asked:
            for number, sample in zip(numbers, tuner.generate_multiple_parameters(numbers), strict=True):
                assert sample["lambda"] == 0.6
                found.append(Genotype.from_sample({key: sample[key] for key in found_keys}))
                value = {"default": rewards[number], "psnr": 30.0, "gmacs": 1.0}
                tuner.receive_trial_result(number, sample, value)
        return found

    found_keys = set(search_space_json(4))
    one = proposed([[0, 1], [2], [3]], [1.0, 2.0, 3.0, 4.0])
    assert one == proposed([[0], [1, 2, 3]], [9.0, 0.0, 9.0, 0.0])
    assert one == [Genotype.random(3000 + number, 4) for number in range(4)]


@pytest.mark.usefixtures("benchmarks")
def test_gains_are_differences_of_the_same_architecture() -> None:
    from sharing_on_two_machines import ARMS, table  # type: ignore[import-not-found]

    def row(arm: str, psnrs: list[float]) -> dict[str, Any]:
        trials = [{"psnr": psnr, "machine": 1 + index % 2, "cpu": 10.0} for index, psnr in enumerate(psnrs)]
        return {"arm": arm, "seed": 0, "seconds": 60.0, "trials": trials}

    shared, *_, alone = ARMS
    lines = list(table([row(shared, [29.0, 31.0, 32.0, 34.0]), row(alone, [30.0, 32.0, 30.0, 32.0])]))
    assert f"| 0 | {shared} | 30.00 | 33.00 | 2.08 | 34.00 | 4 | 40 | 60 |" in lines
    gains = f"| {shared}, over {alone} | 0 | -1.00 [-1.00, -1.00] | +2.00 [+2.00, +2.00] | 2 of 4 | +2.00 |"
    assert [line for line in lines if line.startswith(gains)]
