"""What is drawn to choose a proposal among."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from strategies import HierarchicalController, SpaceLayout
from strategies.exploration import draw_candidates

SIZES = (2, 3, 4, 5, 1) * 4
LAYOUT = SpaceLayout.from_choices({f"cell/choice_{number}": list(range(size)) for number, size in enumerate(SIZES)})


@pytest.fixture
def controller() -> HierarchicalController:
    torch.manual_seed(0)
    return HierarchicalController(LAYOUT, hidden_size=8)


def known() -> Tensor:
    """Return two architectures that differ in every decision that has a choice."""
    return torch.tensor([[0] * len(SIZES), [size - 1 for size in SIZES]])


def nearby(candidates: Tensor) -> list[tuple[int, int, int]]:
    """Return (which, decision, value) of the candidates that differ in one decision from one of the known."""
    found = []
    for row in candidates:
        for which, centre in enumerate(known()):
            changed = torch.nonzero(row != centre)[:, 0].tolist()
            if len(changed) == 1:
                found.append((which, changed[0], int(row[changed[0]])))
    return found


def test_candidates_are_drawn_around_the_best(controller: HierarchicalController) -> None:
    generator = torch.Generator().manual_seed(0)
    candidates = draw_candidates(controller, 100, set(), generator, known())
    assert len({tuple(row) for row in candidates.tolist()}) == len(candidates)
    assert ((candidates >= 0) & (candidates < torch.tensor(SIZES))).all()
    # Of 2 * 4 * (1 + 2 + 3 + 4) = 80 neighbours nearly all, each value of each decision around either of the two.
    found = Counter(nearby(candidates))
    assert len(found) >= 75
    assert set(found.values()) == {1}
    assert {which for which, _, _ in found} == {0, 1}
    assert not nearby(draw_candidates(controller, 100, set(), generator))
    assert not nearby(draw_candidates(controller, 100, set(), generator, known()[:0]))


def test_what_was_tried_is_no_candidate(controller: HierarchicalController) -> None:
    def draw(seen: set[tuple[int, ...]]) -> Tensor:
        return draw_candidates(controller, 50, seen, torch.Generator().manual_seed(1), known())

    first = [tuple(row) for row in draw(set()).tolist()]
    assert [tuple(row) for row in draw(set(first[::2])).tolist()] == first[1::2]


def test_a_space_without_a_choice_has_itself_as_candidate() -> None:
    layout = SpaceLayout.from_choices({"cell/only": [7]})
    candidates = draw_candidates(HierarchicalController(layout, hidden_size=4), 5, set(), None, torch.tensor([[0]]))
    assert candidates.tolist() == [[0]]
