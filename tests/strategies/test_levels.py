"""NNI's spaces as a controller sees them: which choices there are, and in which level."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, MutableDict, Numerical
from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace, Repeat
from torch import nn

from search_spaces import HNASSpace, decision_labels
from strategies import HierarchicalController, SpaceLayout
from strategies.layout import LayoutError
from strategies.levels import SpaceChoices


class Foreign(ModelSpace):
    """A space with NNI's choices of layers, inputs and depths."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = LayerChoice({"relu": nn.ReLU(), "tanh": nn.Tanh()}, label="activation")
        self.blocks = Repeat(
            lambda index: LayerChoice([nn.Linear(4, 4), nn.Identity()], label=f"block{index}"), (1, 3), label="depth"
        )
        self.skips = InputChoice(n_candidates=3, n_chosen=2, label="skips")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.layer(x))
        return self.skips([x, 2 * x, 3 * x])


def level_labels(layout: SpaceLayout) -> dict[str, list[str]]:
    return {level.name: [decision.label for decision in level.decisions] for level in layout.levels}


def test_the_super_resolution_space_needs_no_settings() -> None:
    choices = SpaceChoices(HNASSpace(channels=2, layers=4))
    assert [decision.label for decision in choices.layout.decisions] == list(decision_labels())
    assert [level.name for level in choices.layout.levels] == ["normal", "upsampling", "network"]
    inputs = [decision for decision in choices.layout.decisions if decision.kind == "input"]
    assert len(inputs) == 16  # read by attention over the earlier nodes


def test_every_sample_fits_nni_and_comes_back() -> None:
    space = Foreign()
    choices = SpaceChoices(space)
    assert choices.layout.size == 2 * 3 * 2**3 * 3
    decisions = choices.layout.decisions
    for indices in itertools.product(*(range(len(decision.values)) for decision in decisions)):
        sample = choices.layout.decode(indices)
        nni_sample = choices.to_nni(sample)
        assert space.contains(nni_sample)
        assert choices.from_nni(nni_sample) == sample
    assert space.freeze(choices.to_nni(sample))(torch.zeros(2, 4)).shape == (2, 4)


def test_cells_of_the_hub_are_found() -> None:
    from nni.nas.hub.pytorch import DARTS

    layout = SpaceChoices(DARTS(width=4, num_cells=3, dataset="cifar")).layout
    assert {name: len(labels) for name, labels in level_labels(layout).items()} == {"normal": 16, "reduce": 16}
    assert [decision.label for decision in layout.decisions[:4]] == [
        "normal/input_2_0",
        "normal/input_2_1",
        "normal/op_2_0",
        "normal/op_2_1",
    ]


def test_levels_can_be_given_with_patterns() -> None:
    levels = {"cells": {"body": ["block*", "depth"], "ends": ["activation"]}}
    layout = SpaceChoices(Foreign(), levels).layout
    assert level_labels(layout) == {
        "body": ["block0", "block1", "block2", "depth"],
        "ends": ["activation"],
        "network": ["skips"],
    }
    controller = HierarchicalController(layout)
    assert controller.sample(3).choices.shape == (3, 6)
    flat = SpaceChoices(Foreign()).layout
    assert set(level_labels(flat)) == {"network"}


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"cell": {}}, r"levels: \{'cell': \{\}\} is not valid; give"),
        ({"cells": ["depth"]}, r"levels: cells: \['depth'\] is not valid"),
        ({"network": ["width"]}, "levels: network: no choice of this space is called width"),
        ({"cells": {"body": ["blok*"]}}, r"levels: cells: body: no choice of this space is called blok\*"),
        ({"cells": {"body": 3}}, "levels: cells: body: 3 is not valid; give a list of labels"),
        ({"cells": {"a": ["depth"], "b": ["depth"]}}, "depth: belongs to two levels"),
        ({"cells": {"a": ["depth"]}, "network": ["skips"]}, "activation: belongs to no level"),
    ],
)
def test_levels_that_do_not_fit_are_named(levels: Any, message: str) -> None:
    with pytest.raises(LayoutError, match=f"^{message}"):
        SpaceChoices(Foreign(), levels)


def test_a_scope_around_the_space_is_no_cell() -> None:
    choices = {"net/cell/a": [0, 1], "net/cell/b": [0, 1], "net/depth": [1, 2]}
    layout = SpaceLayout.from_choices(choices)
    assert level_labels(layout) == {"cell": ["net/cell/a", "net/cell/b"], "network": ["net/depth"]}
    # Without choices beside the cells it stays: these are two cells of a name each.
    pair = SpaceLayout.from_choices({"net/normal/a": [0, 1], "net/reduce/a": [0, 1]})
    assert [cell.name for cell in pair.cells] == ["net/normal", "net/reduce"]


def test_choices_that_are_not_categorical_are_refused_by_label() -> None:
    space = MutableDict({"op": Categorical([0, 1], label="op"), "rate": Numerical(0.1, 1.0, label="rate")})
    with pytest.raises(LayoutError, match=r"^rate: Numerical is not categorical"):
        SpaceChoices(space)
    with pytest.raises(LayoutError, match=r"^many: has more than 1024 subsets"):
        SpaceChoices(MutableDict({"many": CategoricalMultiple(range(12), label="many")}))


def test_candidates_of_any_type_stand_for_themselves_in_nni() -> None:
    """The controller's state must stay plain data, whatever is chosen."""
    kernels = [(3, 3), (5, 5)]
    choices = SpaceChoices(MutableDict({"kernel": Categorical(kernels, label="kernel")}))
    (decision,) = choices.layout.decisions
    assert decision.values == ("0: (3, 3)", "1: (5, 5)")
    assert [choices.to_nni({"kernel": name})["kernel"] for name in decision.values] == kernels
