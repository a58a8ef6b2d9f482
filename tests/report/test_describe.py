"""Architectures as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hnas_nni import HNAS_A, Cell, Edge, Genotype, GenotypeError
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.report import describe

EFFICIENT_ONE = Genotype(
    normal=Cell((Edge("conv_3x3", 0), Edge("skip", 2), Edge("collapsible_3x3", 1)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=2,
    depth=3,
    width=8,
    space=EFFICIENT,
)


def test_an_architecture_of_the_efficient_space() -> None:
    assert describe(EFFICIENT_ONE).splitlines() == [
        "normal cell",
        "  node 2 = conv 3x3(node 0)",
        "  node 3 = skip(node 2)",
        "  node 4 = collapsible 3x3(node 1)",
        "  output = add(nodes 3, 4)",
        "",
        "upsampling cell (node 0 is the stem; operations on nodes 0 and 1 upsample, the others keep the size)",
        "  node 2 = sub-pixel 3x3(node 1)",
        "  node 3 = sub-pixel 1x1(node 0)",
        "  output = add(nodes 2, 3)",
        "",
        "network (upsampling cell at block 2 of 3; bicubic interpolation of the input is added)",
        "  stem - n - [UP] - N - TAIL",
    ]


def test_a_last_block_that_upsamples_writes_the_image() -> None:
    text = describe(replace(EFFICIENT_ONE, position=3), 12)
    assert text.splitlines()[-1] == "  stem - n - n - [UP]"
    chain = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 2)), 1)
    assert "  output = node 3\n" in describe(replace(EFFICIENT_ONE, upsampling=chain))


def test_sizes_that_are_left_open_are_those_that_are_given() -> None:
    text = describe(replace(EFFICIENT_ONE, depth=None), 4)
    assert text.endswith("  stem - n - [UP] - N - N - TAIL")
    with pytest.raises(GenotypeError, match="position: 3 lies behind the last of 2 layers"):
        describe(replace(EFFICIENT_ONE, position=3, depth=None), 2)


def test_a_cell_of_the_paper_concatenates() -> None:
    lines = describe(HNAS_A).splitlines()
    assert "  output = concatenate(nodes 2, 3, 4, 5)" in lines
    assert "network (upsampling cell at block 10 of 12)" in lines
