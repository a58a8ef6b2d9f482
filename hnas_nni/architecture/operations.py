"""The table of operations: every candidate of the search spaces is a row, and nothing about it is said elsewhere.

Genotypes, networks, costs, tiles, first weights, pictures and search spaces read it. Operations of one's own
(:mod:`hnas_nni.network.own_operations`) are rows behind those of this package.

Names are unique; labels and colours are within a space, of whose operations alone a picture has some. The colours start
from Paul Tol's "muted" scheme (technical note SRON/EPS/TN/09-002) and Okabe and Ito's, moved so that any two operations
of a cell differ by more than 10 in CIEDE2000, with protanopia and deuteranopia too. A label always stands beside its
colour, in at least 4.5 times its luminance (WCAG 2.1, level AA).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from hnas_nni.architecture.operation import Operation
from hnas_nni.architecture.references import lazy
from hnas_nni.architecture.spaces import EFFICIENT, PAPER, Space

PASS_THROUGH = lazy("hnas_nni.network.first_weights:pass_through")
"""First weights of an operation whose convolutions, if it has any, start by handing their channels through."""

AS_BUILT = lazy("hnas_nni.network.first_weights:leave_as_built")
"""First weights of an operation of a network that starts as an interpolation by its skeleton."""

ROWS = (
    Operation(
        name="identity",
        cell="normal",
        space=PAPER,
        factory=lazy("torch.nn:Identity"),
        label="identity",
        colour="#b9bec4",
        reach=0,
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="dil_conv_3x3",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:DilatedConv", kernel_size=3),
        label="dil. conv 3x3",
        colour="#88ccee",
        reach=2,  # dilation 2
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="dil_conv_5x5",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:DilatedConv", kernel_size=5),
        label="dil. conv 5x5",
        colour="#0072b2",
        reach=4,
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="sep_conv_3x3",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:SeparableConv", kernel_size=3),
        label="sep. conv 3x3",
        colour="#44aa99",
        reach=2,  # two convolutions
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="sep_conv_5x5",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:SeparableConv", kernel_size=5),
        label="sep. conv 5x5",
        colour="#117733",
        reach=4,
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="up_down_projection",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:UpDownProjection"),
        label="up-down proj.",
        colour="#993377",
        reach={2: 6, 3: 6, 4: 3},  # with kernel k, up and down again reaches (k - 1) // s; thrice on the longest path
        whole_image=False,
        first_weights=lazy("hnas_nni.network.first_weights:start_projections"),
    ),
    Operation(
        name="rcab",
        cell="normal",
        space=PAPER,
        factory=lazy("hnas_nni.network.normal_operations:ResidualChannelAttentionBlock"),
        label="RCAB",
        colour="#e8806a",
        reach=2,
        whole_image=True,  # the average of channel attention (RCAN, arXiv 1807.02758, equation 10)
        first_weights=lazy("hnas_nni.network.first_weights:start_attention_block"),
    ),
    Operation(
        name="area",
        cell="upsampling",
        space=PAPER,
        factory=lazy("hnas_nni.network.upsampling_operations:Interpolation", mode="area"),
        label="area",
        colour="#ddcc77",
        reach=0,
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="bilinear",
        cell="upsampling",
        space=PAPER,
        factory=lazy("hnas_nni.network.upsampling_operations:Interpolation", mode="bilinear"),
        label="bilinear",
        colour="#e69f00",
        reach={1: 0, 2: 1, 3: 1, 4: 1},
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="nearest",
        cell="upsampling",
        space=PAPER,
        factory=lazy("hnas_nni.network.upsampling_operations:Interpolation", mode="nearest"),
        label="nearest",
        colour="#6f7a1f",
        reach=0,
        whole_image=False,
        first_weights=PASS_THROUGH,
    ),
    Operation(
        name="deconv",
        cell="upsampling",
        space=PAPER,
        factory=lazy("hnas_nni.network.upsampling_operations:Deconv"),
        label="transposed conv",
        colour="#882255",
        reach=1,
        whole_image=False,
        first_weights=lazy("hnas_nni.network.first_weights:start_transposed_conv"),
    ),
    Operation(
        name="subpixel",
        cell="upsampling",
        space=PAPER,
        factory=lazy("hnas_nni.network.upsampling_operations:SubPixelConv"),
        label="sub-pixel conv",
        colour="#332288",
        reach={1: 0, 2: 1, 3: 1, 4: Fraction(3, 2)},  # x4: a second convolution, at twice the resolution
        whole_image=False,
        first_weights=lazy("hnas_nni.network.first_weights:start_sub_pixel_conv"),
    ),
    Operation(
        name="skip",
        cell="normal",
        space=EFFICIENT,
        factory=lazy("torch.nn:Identity"),
        label="skip",
        colour="#c3bfb2",
        reach=0,
        whole_image=False,
        first_weights=AS_BUILT,
    ),
    Operation(
        name="conv_3x3",
        cell="normal",
        space=EFFICIENT,
        factory=lazy("hnas_nni.network.efficient_operations:PlainConv"),
        label="conv 3x3",
        colour="#5aa9d6",
        reach=1,
        whole_image=False,
        first_weights=AS_BUILT,
    ),
    Operation(
        name="collapsible_3x3",
        cell="normal",
        space=EFFICIENT,
        factory=lazy("hnas_nni.network.efficient_operations:CollapsibleConv"),
        label="collapsible 3x3",
        colour="#1f5f8b",
        reach=1,
        whole_image=False,
        first_weights=AS_BUILT,
    ),
    Operation(
        name="sub_pixel_3x3",
        cell="upsampling",
        space=EFFICIENT,
        factory=lazy("hnas_nni.network.efficient_operations:SubPixel", kernel_size=3),
        label="sub-pixel 3x3",
        colour="#4b3fa8",
        reach={1: 0, 2: 1, 3: 1, 4: 1},
        whole_image=False,
        first_weights=AS_BUILT,
    ),
    Operation(
        name="sub_pixel_1x1",
        cell="upsampling",
        space=EFFICIENT,
        factory=lazy("hnas_nni.network.efficient_operations:SubPixel", kernel_size=1),
        label="sub-pixel 1x1",
        colour="#9a8fd9",
        reach=0,
        whole_image=False,
        first_weights=AS_BUILT,
    ),
)
"""The operations of this package; those of the paper are its candidates of sections II-B, in the paper's order."""

_table: dict[str, Operation] = {}

OPERATIONS: Mapping[str, Operation] = MappingProxyType(_table)
"""All operations by their names, one's own too."""


def add_operation(operation: Operation) -> None:
    """Add a row to the table.

    Raises
    ------
    ValueError
        If another row has its name, or one of its space its label or colour.
    """
    name = operation.name
    if name in _table:
        raise ValueError(f"{name}: there is such an operation already; give another name")
    for other in _table.values():
        if other.space is not operation.space:
            continue
        if operation.label == other.label:
            raise ValueError(f"{name}: label {operation.label!r} is that of another operation; give another")
        if operation.colour == other.colour:
            raise ValueError(f"{name}: colour {operation.colour} is that of another operation; give another")
    _table[name] = operation


def remove_operation(name: str) -> None:
    """Take a row out of the table again.

    Raises
    ------
    ValueError
        If there is no such row, or it is one of this package's.
    """
    if name not in _table or _table[name] in ROWS:
        raise ValueError(f"{name}: was not registered")
    del _table[name]


def candidates(space: Space, cell: str) -> tuple[str, ...]:
    """Return the names of a cell's candidate operations, in the order of the table."""
    return tuple(row.name for row in _table.values() if row.space is space and row.cell == cell)


for _row in ROWS:
    add_operation(_row)
