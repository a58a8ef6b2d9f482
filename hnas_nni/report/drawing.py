"""Pictures of architectures: both cells as graphs, and the network they form."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.cells import INPUT_NODES, Cell, Edge, operation_label
from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.spaces import EFFICIENT, Space
from hnas_nni.architecture.spaces import PAPER as PAPER_SPACE
from hnas_nni.files import replacing
from hnas_nni.report.canvas import FONT_SIZE, Canvas
from hnas_nni.report.formats import picture_format
from hnas_nni.report.layout import (
    CONCAT_WIDTH,
    INPUT_SIZE,
    LABEL_SIZE,
    NODE_RADIUS,
    CellLayout,
    EdgeLayout,
    has_tail,
    input_names,
    lay_out,
    shown_operation,
)
from hnas_nni.report.palette import (
    CELL_COLOURS,
    INK,
    MUTED,
    NODE,
    PAPER,
    WIRE,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NETWORK_HEIGHT = 1.75

_END_WIDTH = 0.6
_END_GAP = 0.15
_ARROW = 0.4
_NETWORK_ENDS = 2 * (_END_WIDTH + _END_GAP) + _ARROW

_MARGIN = 0.35
_BETWEEN = 0.5
_TITLE_HEIGHT = 0.62
_MIN_WIDTH = 9.0
_TITLES = {
    "normal": ("Normal cell", "every operation keeps the size"),
    "upsampling": (
        "Upsampling cell",
        "outlined operations, those on nodes 0 and 1, upsample; the others keep the size",
    ),
}
_ADDED = "+ bicubic of the input"


def draw_genotype(
    genotype: Architecture, path: str | os.PathLike[str] | None = None, *, layers: int = DEFAULT_LAYERS
) -> Figure:
    """Draw an architecture: its two cells, and where the upsampling cell stands in the network.

    Parameters
    ----------
    genotype
        The architecture; a network of the literature has no cells to draw.
    path
        File to write, whole or not at all; ``.svg`` (text stays text), ``.png`` (150 dots per inch) or
        ``.pdf``. An existing file is replaced.
    layers
        L, the number of blocks of the network, where the genotype leaves it open.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, its size in inches.

    Raises
    ------
    GenotypeError
        If the upsampling cell stands behind the last layer.
    ValueError
        If the architecture is no genotype, or the file's extension is none of these.
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    if not isinstance(genotype, Genotype):
        raise ValueError(f"{genotype}: has no cells to draw; only searched architectures have")
    layers = genotype.depth or layers
    genotype.check_layers(layers)
    if path is not None:
        picture_format(path)
    layouts = {name: lay_out(cell) for name, cell in genotype.cells()}
    width = max(_MIN_WIDTH, *(layout.width for layout in layouts.values())) + 2 * _MARGIN
    cells_height = sum(layout.height + _TITLE_HEIGHT + _BETWEEN for layout in layouts.values())
    height = cells_height + _NETWORK_HEIGHT + 2 * _MARGIN
    canvas = Canvas(width, height)
    top = height - _MARGIN
    for name, layout in layouts.items():
        _draw_cell(canvas, genotype.space, name, layout, _MARGIN, top)
        top -= layout.height + _TITLE_HEIGHT + _BETWEEN
    _draw_network(canvas, genotype, layers, _MARGIN, width - _MARGIN, top)
    if path is not None:
        _save(canvas.figure, path)
    return canvas.figure


def draw_cell(name: str, cell: Cell, space: Space = PAPER_SPACE) -> Figure:
    """Draw one cell of a space, ``"normal"`` or ``"upsampling"``, without a heading."""
    layout = lay_out(cell)
    canvas = Canvas(layout.width + 0.1, layout.height + 0.1)
    _draw_graph(canvas, space, name, layout, 0.05, 0.05)
    return canvas.figure


def draw_network(genotype: Genotype, layers: int = DEFAULT_LAYERS) -> Figure:
    """Draw the network alone, as wide as its blocks need; `layers` as for :func:`draw_genotype`."""
    layers = genotype.depth or layers
    # Twelve blocks fit a page; of more each is narrower, as long as there is room for its number.
    width = 0.1 + _NETWORK_ENDS + layers * min(0.62, max(0.3, 7.5 / layers))
    canvas = Canvas(width, _NETWORK_HEIGHT)
    _draw_network(canvas, genotype, layers, 0.05, width - 0.05, _NETWORK_HEIGHT)
    return canvas.figure


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture whole or not at all, the same bytes for the same picture."""
    from matplotlib import rc_context

    kind = picture_format(path)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}[kind]
    data = BytesIO()  # a disk that is full in the middle of a PDF file would be a riddle
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "hnas"}):
        figure.savefig(data, format=kind, dpi=150, metadata=undated)
    with replacing(path) as temporary:
        temporary.write_bytes(data.getvalue())


def _draw_cell(canvas: Canvas, space: Space, name: str, layout: CellLayout, left: float, top: float) -> None:
    title, subtitle = _TITLES[name]
    canvas.text(left, top - 0.1, title, size=13, weight="bold", ha="left")
    canvas.text(left, top - 0.36, subtitle, size=8.5, ha="left", color=MUTED)
    _draw_graph(canvas, space, name, layout, left, top - _TITLE_HEIGHT - layout.height)


def _draw_graph(canvas: Canvas, space: Space, name: str, layout: CellLayout, left: float, bottom: float) -> None:
    nodes = [(left + x, bottom + y) for x, y in layout.nodes]
    concat = left + layout.concat
    for source, (x, y) in enumerate(nodes):
        # A node's output, up to the last operation that reads it; intermediate ones run on into the output.
        lanes = [left + edge.lane for edge in layout.edges if edge.source == source]
        end = concat if source in layout.outputs else max(lanes, default=x)
        canvas.line([(x, y), (end, y)], WIRE, width=1.6, zorder=1)
    for edge in layout.edges:
        _draw_edge(canvas, name, edge, left, bottom, nodes)
    for index in range(INPUT_NODES):
        x, y = nodes[index]
        canvas.box(x, y, *INPUT_SIZE, NODE, edge=INK)
        canvas.text(x, y, f"{index}: {input_names(space, name)[index]}")
    for node in range(INPUT_NODES, len(nodes)):
        x, y = nodes[node]
        canvas.disc(x, y, NODE_RADIUS, PAPER, edge=INK, zorder=4)
        if sum(edge.target == node for edge in layout.edges) > 1:
            canvas.text(x, y - 0.005, "+", size=13, weight="bold", zorder=5)
        canvas.text(x, y + 0.25, str(node), weight="bold")
    upper, lower = nodes[layout.outputs[0]][1], nodes[layout.outputs[-1]][1]
    middle = (upper + lower) / 2
    canvas.line(
        [(concat, middle), (concat + CONCAT_WIDTH / 2 + 0.5, middle)],
        INK,
        width=1.6,
        arrow=True,
        zorder=1,
    )
    canvas.box(concat, middle, CONCAT_WIDTH, upper - lower + 0.5, NODE, edge=INK)
    if len(layout.outputs) > 1:
        canvas.text(concat, middle, layout.merge, rotation=90)


def _draw_edge(
    canvas: Canvas, cell: str, edge: EdgeLayout, left: float, bottom: float, nodes: list[tuple[float, float]]
) -> None:
    operation = shown_operation(cell, Edge(edge.operation, edge.source))
    colour = operation.colour
    lane, start = left + edge.lane, nodes[edge.source][1]
    x, y = left + edge.label[0], bottom + edge.label[1]
    label_right = x + LABEL_SIZE[0] / 2
    target_x, target_y = nodes[edge.target]
    canvas.disc(lane, start, 0.04, colour, zorder=3)
    canvas.line([(lane, start), (lane, y), (x, y)], colour, width=2.2, halo=True, zorder=2)
    # Into the circle at an angle, so that both operations of a node meet in its plus.
    canvas.line([(label_right - 0.05, y), (target_x, target_y)], colour, width=2.2, zorder=2)
    upsamples = cell == "upsampling" and edge.source < INPUT_NODES
    name = operation_label(cell, edge.target, edge.slot)
    canvas.box(x, y, *LABEL_SIZE, colour, edge=INK if upsamples else PAPER, name=name)
    canvas.text(x, y - 0.01, operation.label, on=colour)


def _draw_network(canvas: Canvas, genotype: Genotype, layers: int, left: float, right: float, top: float) -> None:
    """Draw stem, blocks and tail in a row; what works at high resolution is drawn taller."""
    low, high = 0.42, 0.84
    position = genotype.position
    canvas.text(left, top - 0.1, "Network", size=13, weight="bold", ha="left")
    if genotype.space is EFFICIENT:
        canvas.text(left + 1.05, top - 0.1, _ADDED, size=8.5, ha="left", color=MUTED)
    middle = top - 0.55 - high / 2
    pitch = min((right - left - _NETWORK_ENDS) / layers, 1.1)
    first = left + _END_WIDTH + _END_GAP
    last = first + layers * pitch
    end = last + _END_GAP + _END_WIDTH if has_tail(genotype, layers) else last
    border = first + (position - 1) * pitch
    canvas.line([(left, middle), (end + _ARROW, middle)], INK, width=1.4, arrow=True, zorder=1)
    canvas.box(left + _END_WIDTH / 2, middle, _END_WIDTH, low, NODE, edge=INK)
    canvas.text(left + _END_WIDTH / 2, middle, "stem")
    numbered = range(1, layers + 1) if pitch > 0.25 else (1, position, layers)
    for index in range(1, layers + 1):
        x = first + (index - 0.5) * pitch
        colour = CELL_COLOURS["upsampling" if index == position else "normal"]
        canvas.box(x, middle, pitch * 0.76, low if index < position else high, colour, edge=INK)
        if index in numbered:
            canvas.text(x, middle, str(index), on=colour, size=min(FONT_SIZE, pitch * 38))
    if end > last:
        canvas.box(end - _END_WIDTH / 2, middle, _END_WIDTH, high, NODE, edge=INK)
        canvas.text(end - _END_WIDTH / 2, middle, "tail")
    label = max(border + pitch / 2, left + 1.65)  # clear of the heading
    canvas.text(label, top - 0.36, "upsampling cell", color=CELL_COLOURS["upsampling"], weight="bold")
    caption = middle - high / 2 - 0.2
    canvas.text((left + border) / 2, caption, "low resolution", size=8.5, color=MUTED)
    canvas.text((border + max(end, border + 0.75)) / 2, caption, "high resolution", size=8.5, color=MUTED)
