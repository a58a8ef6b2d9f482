"""The order and the levels of a search space's decisions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_spaces import choice

from hnas_nni.architecture.genotype import Genotype
from search_spaces import decision_labels, search_space_path
from strategies.layout import Decision, LayoutError, SpaceLayout


def labels(decisions: tuple[Decision, ...]) -> list[str]:
    return [decision.label for decision in decisions]


def test_hnas_decides_node_by_node_inputs_first_and_the_position_last(hnas_layout: SpaceLayout) -> None:
    layout = hnas_layout
    assert [cell.name for cell in layout.cells] == ["normal", "upsampling"]
    assert labels(layout.decisions)[:9] == [
        "normal/input_2_0", "normal/input_2_1", "normal/op_2_0", "normal/op_2_1",
        "normal/input_3_0", "normal/input_3_1", "normal/op_3_0", "normal/op_3_1", "normal/input_4_0",
    ]  # fmt: skip
    assert labels(layout.decisions)[-1] == "upsample_position"
    assert [decision.kind for decision in layout.decisions[:4]] == [
        "input",
        "input",
        "operation",
        "operation",
    ]
    assert layout.columns() == {"normal": slice(0, 16), "upsampling": slice(16, 32), "network": slice(32, 33)}


def test_the_shipped_search_space_files_are_decided_in_the_documented_order() -> None:
    for layers in (6, 12):
        layout = SpaceLayout.from_search_space(json.loads(search_space_path(layers).read_text()))
        assert labels(layout.decisions) == list(decision_labels())


def test_size_of_the_hnas_space_is_the_counted_one(hnas_layout: SpaceLayout) -> None:
    inputs = (2 * 3 * 4 * 5) ** 2
    assert hnas_layout.size == 7**8 * inputs * 5**8 * inputs * 12


def test_genotype_survives_encoding_and_decoding(hnas_layout: SpaceLayout) -> None:
    layout = hnas_layout
    for seed in range(20):
        genotype = Genotype.random(seed)
        assert Genotype.from_sample(layout.decode(layout.encode(genotype.to_sample()))) == genotype


def test_json_text_keeps_the_layout(hnas_search_space: dict[str, Any]) -> None:
    space = hnas_search_space
    assert SpaceLayout.from_search_space(json.loads(json.dumps(space))) == SpaceLayout.from_search_space(space)
    layout = SpaceLayout.from_search_space(space)
    assert json.loads(json.dumps(layout.to_json())) == layout.to_json()


def test_generic_choices_keep_their_order_and_randint_is_a_range(small_layout: SpaceLayout) -> None:
    layout = small_layout
    assert labels(layout.cells[1].decisions) == ["b/kernel", "b/activation"]
    assert labels(layout.network) == ["position", "width"]
    assert layout.network[1].values == (8, 9, 10, 11)
    assert layout.decode(layout.encode({**layout.decode([0] * 8), "width": 10}))["width"] == 10


def test_nodes_come_in_the_order_of_their_numbers() -> None:
    space = {f"c/op_{node}_0": choice("x", "y") for node in (10, 2, 9)}
    assert labels(SpaceLayout.from_search_space(space).decisions) == ["c/op_2_0", "c/op_9_0", "c/op_10_0"]


def test_an_input_choice_whose_values_are_no_earlier_nodes_is_a_plain_choice() -> None:
    layout = SpaceLayout.from_search_space({"c/input_2_0": choice("first", "second"), "c/input_2_1": choice(1, 2)})
    assert [decision.kind for decision in layout.decisions] == ["operation", "operation"]


def test_single_cell_and_flat_spaces_have_one_kind_of_level() -> None:
    cell = SpaceLayout.from_search_space({"c/x": choice(1, 2)})
    assert [level.name for level in cell.levels] == ["c"]
    flat = SpaceLayout.from_search_space({"x": choice(1, 2), "y": choice(3)})
    assert [level.name for level in flat.levels] == ["network"]
    assert flat.size == 2


def test_the_user_may_name_the_levels() -> None:
    space = {"x": choice(1), "y": choice(2), "block/z": choice(3)}
    layout = SpaceLayout.from_search_space(space, network_labels=["block/z"], cells={"one": ["y"], "two": ["x"]})
    assert [(level.name, labels(level.decisions)) for level in layout.levels] == [
        ("one", ["y"]),
        ("two", ["x"]),
        ("network", ["block/z"]),
    ]
    rest = SpaceLayout.from_search_space(space, cells={"one": ["x"]})
    assert labels(rest.network) == ["y", "block/z"]


def test_everything_before_the_last_slash_is_the_cell() -> None:
    layout = SpaceLayout.from_search_space({"stage/1/op_1_0": choice(1, 2), "stage/2/op_1_0": choice(1, 2)})
    assert [cell.name for cell in layout.cells] == ["stage/1", "stage/2"]


def test_a_cell_named_like_the_network_level_keeps_a_name_of_its_own() -> None:
    layout = SpaceLayout.from_search_space({"network/x": choice(1, 2), "y": choice(1, 2)})
    assert [(level.name, labels(level.decisions)) for level in layout.levels] == [
        ("network cell", ["network/x"]),
        ("network", ["y"]),
    ]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"lr": {"_type": "uniform", "_value": [0, 1]}}, r'^lr: "uniform" is not categorical'),
        ({"lr": {"_value": [0, 1]}}, "^lr: expected"),
        ({"lr": [0, 1]}, "^lr: expected"),
        ({"a": choice()}, "^a: has no candidates"),
        ({"a": {"_type": "randint", "_value": [3, 3]}}, "^a: has no candidates"),
        ({"a": {"_type": "randint", "_value": [3]}}, "^a: randint takes"),
        ({"a": {"_type": "choice", "_value": "abc"}}, "^a: _value must be a list"),
        ({"a": choice("x", "y", "x")}, "^a: candidate 'x' comes twice"),
        ({"a": choice({"_name": "x"}, {"_name": "y"})}, "^a: nested choices"),
        ({}, "nothing to decide"),
        ([], "expected a JSON object, got list"),
    ],
)
def test_spaces_it_cannot_decide_are_refused_by_name(space: object, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        SpaceLayout.from_search_space(space)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ({"network_labels": ["x"]}, "^y: belongs to no level"),
        ({"network_labels": ["x", "gone"], "cells": {"c": ["y"]}}, "^gone: not a choice"),
        ({"network_labels": ["x", "y"], "cells": {"c": ["y"]}}, "^y: belongs to two levels"),
        ({"cells": {"network": ["x"]}}, "^network: two levels"),
    ],
)
def test_levels_that_do_not_fit_the_space_are_refused(levels: dict[str, object], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        SpaceLayout.from_search_space({"x": choice(1), "y": choice(2)}, **levels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": 7}, r"^position: 7 is not a candidate; valid are 1, 2"),
        ({"a/input_2_0": [0, 1]}, r"^a/input_2_0: \[0, 1\] is not a candidate"),
        ({"color": "red"}, "^color: not a choice of this search space"),
        ({"width": None}, "^width: None is not"),
    ],
)
def test_samples_outside_the_space_are_refused_by_label(
    small_layout: SpaceLayout, change: dict[str, object], message: str
) -> None:
    with pytest.raises(LayoutError, match=message):
        small_layout.encode({**small_layout.decode([0] * 8), **change})


def test_missing_labels_and_indices_out_of_range_are_refused() -> None:
    layout = SpaceLayout.from_search_space({"x": choice(1, 2)})
    with pytest.raises(LayoutError, match=r"^x: missing"):
        layout.encode({})
    for index in (2, -1):
        with pytest.raises(LayoutError, match=rf"^x: index {index} is out of range, 0\.\.1"):
            layout.decode([index])
    with pytest.raises(LayoutError, match="got 2, but the space has 1"):
        layout.decode([0, 0])
