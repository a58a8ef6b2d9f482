"""The table of operations: a row says all of an operation, and no two are taken for one another."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch

from hnas_nni.architecture.operation import Operation, operation_scales
from hnas_nni.architecture.operations import (
    OPERATIONS,
    PASS_THROUGH,
    ROWS,
    add_operation,
    candidates,
    remove_operation,
)
from hnas_nni.architecture.references import lazy
from hnas_nni.architecture.spaces import EFFICIENT, PAPER, Space

FIELDS: dict[str, Any] = {
    "name": "mine",
    "cell": "upsampling",
    "space": PAPER,
    "factory": lazy("hnas_nni.network.upsampling_operations:Deconv"),
    "label": "my own",
    "colour": "#123456",
    "reach": {1: 0, 2: 1, 3: 1, 4: Fraction(3, 2)},
    "whole_image": False,
    "first_weights": PASS_THROUGH,
}


@pytest.fixture
def mine() -> Iterator[Operation]:
    row = Operation(**FIELDS)
    add_operation(row)
    yield row
    if row.name in OPERATIONS:
        remove_operation(row.name)


def test_the_paper_has_seven_and_five_candidates_in_its_order() -> None:
    """Section II-B; saved policies of controllers count on the order."""
    assert candidates(PAPER, "normal") == (
        "identity",
        "dil_conv_3x3",
        "dil_conv_5x5",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "up_down_projection",
        "rcab",
    )
    assert candidates(PAPER, "upsampling") == ("area", "bilinear", "nearest", "deconv", "subpixel")


def test_the_efficient_space_has_three_and_two_candidates() -> None:
    assert candidates(EFFICIENT, "normal") == ("skip", "conv_3x3", "collapsible_3x3")
    assert candidates(EFFICIENT, "upsampling") == ("sub_pixel_3x3", "sub_pixel_1x1")


def test_no_field_can_be_left_out() -> None:
    assert set(FIELDS) == {field.name for field in dataclasses.fields(Operation)}
    Operation(**FIELDS)
    for name in FIELDS:
        with pytest.raises(TypeError, match=f"'{name}'"):
            Operation(**{field: value for field, value in FIELDS.items() if field != name})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "my-own", "name: 'my-own' is not valid"),
        ("cell", "downsampling", "mine: cell 'downsampling' is not valid; give one of normal, upsampling"),
        ("label", "", "mine: label '' is not valid"),
        ("label", "sixteen letters.", "mine: label 'sixteen letters.' is not valid; give 1 to 15 characters"),
        ("colour", "#ABCDEF", "mine: colour '#ABCDEF' is not valid"),
        ("reach", None, "mine: reach None is not valid; give pixels"),
        ("reach", -1, "mine: reach -1 is not valid"),
        ("reach", True, "mine: reach True is not valid"),
        ("reach", {2: 1, 3: 1, 4: 1}, r"mine: reach \{2: 1, 3: 1, 4: 1\} .* for each of the scales 1, 2, 3, 4"),
    ],
)
def test_a_field_that_is_not_valid_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operation(**{**FIELDS, field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "mine", "mine: there is such an operation already; give another name"),
        ("label", "my own", "other: label 'my own' is that of another operation; give another"),
        ("colour", "#123456", "other: colour #123456 is that of another operation; give another"),
    ],
)
def test_two_rows_differ_in_name_label_and_colour(mine: Operation, field: str, value: str, message: str) -> None:
    other = {**FIELDS, "name": "other", "label": "other", "colour": "#654321"}
    before = dict(OPERATIONS)
    with pytest.raises(ValueError, match=message):
        add_operation(Operation(**{**other, field: value}))
    assert before == OPERATIONS


def test_another_space_may_have_the_label_and_the_colour(mine: Operation) -> None:
    add_operation(Operation(**{**FIELDS, "name": "other", "space": EFFICIENT}))
    assert "other" in candidates(EFFICIENT, "upsampling")
    remove_operation("other")
    with pytest.raises(ValueError, match="mine: there is such an operation already"):
        add_operation(Operation(**{**FIELDS, "space": EFFICIENT, "label": "other", "colour": "#654321"}))


def test_a_row_is_a_candidate_of_its_space_and_cell_alone(mine: Operation) -> None:
    assert candidates(PAPER, "upsampling") == ("area", "bilinear", "nearest", "deconv", "subpixel", "mine")
    assert "mine" not in candidates(PAPER, "normal")
    nothing = lazy("torch.nn:Identity")
    elsewhere = Space("elsewhere", shapes=PAPER.shapes, network=nothing, cost_parts=nothing)
    assert candidates(elsewhere, "upsampling") == ()
    assert "mine" not in candidates(EFFICIENT, "upsampling")
    assert mine.reach_at(4) == Fraction(3, 2)
    remove_operation("mine")
    assert "mine" not in OPERATIONS and "mine" not in candidates(PAPER, "upsampling")


def test_rows_of_this_package_stay() -> None:
    with pytest.raises(ValueError, match="rcab: was not registered"):
        remove_operation("rcab")
    assert tuple(OPERATIONS.values()) == ROWS
    with pytest.raises(TypeError):
        OPERATIONS["mine"] = Operation(**FIELDS)  # type: ignore[index]


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_a_row_names_is_there(name: str) -> None:
    """Every module is made and every function of first weights runs, at each scale."""
    row = OPERATIONS[name]
    more = {"out": 6} if row.space is EFFICIENT and row.cell == "upsampling" else {}
    for scale in operation_scales(row.cell):
        module = row.factory(6, scale, **more)
        assert isinstance(module, torch.nn.Module)
        with torch.no_grad():
            row.first_weights(module)
        assert row.reach_at(scale) >= 0


def test_the_table_is_read_without_torch() -> None:
    code = (
        "import sys\n"
        "from hnas_nni import HNAS_A, Genotype\n"
        "from hnas_nni.architecture.operations import OPERATIONS\n"
        "assert Genotype.from_json(HNAS_A.to_json()) == HNAS_A and OPERATIONS['rcab'].whole_image\n"
        "print([name for name in ('torch', 'numpy', 'nni') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
