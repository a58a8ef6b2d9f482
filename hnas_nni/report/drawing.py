"""Pictures of architectures: both cells as graphs, and the network they form."""

from __future__ import annotations

import os

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.patheffects import Normal, Stroke

from hnas_nni.files import replacing
from hnas_nni.genotype import DEFAULT_LAYERS, INPUT_NODES, NODES, Genotype, operation_label
from hnas_nni.report.formats import picture_format
from hnas_nni.report.layout import (
    CONCAT_WIDTH,
    INPUT_SIZE,
    LABEL_SIZE,
    NODE_RADIUS,
    CellLayout,
    EdgeLayout,
    lay_out,
)
from hnas_nni.report.palette import (
    CELL_COLOURS,
    INK,
    NODE,
    OPERATION_COLOURS,
    OPERATION_NAMES,
    WIRE,
    text_colour,
)

_FONT_SIZE = 9
_MARGIN = 0.35
_BETWEEN = 0.5
_TITLE_HEIGHT = 0.62
_NETWORK_HEIGHT = 1.75
_MIN_WIDTH = 9.0
_MUTED = "#5b636c"
_TITLES = {
    "normal": ("Normal cell", "every operation keeps the size"),
    "upsampling": ("Upsampling cell", "operations on nodes 0 and 1 upsample, the others keep the size"),
}
_INPUT_NAMES = ("second-last block", "last block")


def draw_genotype(
    genotype: Genotype, path: str | os.PathLike[str] | None = None, *, layers: int = DEFAULT_LAYERS
) -> Figure:
    """Draw an architecture: its two cells, and where the upsampling cell stands in the network.

    Parameters
    ----------
    genotype
        The architecture.
    path
        File to write, whole or not at all; ``.svg`` (text stays text), ``.png`` (150 dots per inch) or
        ``.pdf``. An existing file is replaced.
    layers
        L, the number of blocks of the network.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, its size in inches.

    Raises
    ------
    GenotypeError
        If the upsampling cell stands behind the last layer.
    ValueError
        If the file's extension is none of these.
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    genotype.check_layers(layers)
    if path is not None:
        picture_format(path)
    layouts = {name: lay_out(cell) for name, cell in genotype.cells()}
    width = max(_MIN_WIDTH, *(layout.width for layout in layouts.values())) + 2 * _MARGIN
    cells_height = sum(layout.height + _TITLE_HEIGHT + _BETWEEN for layout in layouts.values())
    height = cells_height + _NETWORK_HEIGHT + 2 * _MARGIN
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.set_axis_off()
    top = height - _MARGIN
    for name, layout in layouts.items():
        _draw_cell(axes, name, layout, _MARGIN, top)
        top -= layout.height + _TITLE_HEIGHT + _BETWEEN
    _draw_network(axes, genotype.position, layers, _MARGIN, width - _MARGIN, top)
    if path is not None:
        save_figure(figure, path)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture whole or not at all, the same bytes for the same picture.

    Raises
    ------
    ValueError
        If the extension is none of :data:`hnas_nni.report.formats.FORMATS`.
    FileNotFoundError
        If the folder does not exist.
    """
    kind = picture_format(path)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}[kind]
    with replacing(path) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "hnas"}):
        figure.savefig(temporary, format=kind, dpi=150, metadata=undated)


def _draw_cell(axes: Axes, name: str, layout: CellLayout, left: float, top: float) -> None:
    title, subtitle = _TITLES[name]
    bottom = top - _TITLE_HEIGHT - layout.height
    _text(axes, left, top - 0.1, title, size=13, weight="bold", ha="left")
    _text(axes, left, top - 0.36, subtitle, size=8.5, ha="left", color=_MUTED)
    nodes = [(left + x, bottom + y) for x, y in layout.nodes]
    concat = left + layout.concat
    for source, (x, y) in enumerate(nodes):
        # A node's output, up to the last operation that reads it; intermediate ones run on into the output.
        lanes = [left + edge.lane for edge in layout.edges if edge.source == source]
        end = concat if source in NODES else max(lanes, default=x)
        _line(axes, [(x, y), (end, y)], WIRE, width=1.6, zorder=1)
    for edge in layout.edges:
        _draw_edge(axes, name, edge, left, bottom, nodes)
    for index in range(INPUT_NODES):
        x, y = nodes[index]
        _box(axes, x, y, *INPUT_SIZE, NODE, edge=INK)
        _text(axes, x, y, f"{index}: {_INPUT_NAMES[index]}")
    for node in NODES:
        x, y = nodes[node]
        axes.add_patch(Circle((x, y), NODE_RADIUS, facecolor="white", edgecolor=INK, linewidth=1.2, zorder=4))
        _text(axes, x, y - 0.005, "+", size=13, weight="bold", zorder=5)
        _text(axes, x, y + 0.25, str(node), weight="bold")
    upper, lower = nodes[NODES[0]][1], nodes[NODES[-1]][1]
    middle = (upper + lower) / 2
    _line(
        axes,
        [(concat, middle), (concat + CONCAT_WIDTH / 2 + 0.5, middle)],
        INK,
        width=1.6,
        arrow=True,
        zorder=1,
    )
    _box(axes, concat, middle, CONCAT_WIDTH, upper - lower + 0.5, NODE, edge=INK)
    _text(axes, concat, middle, "concatenate", rotation=90)


def _draw_edge(
    axes: Axes, cell: str, edge: EdgeLayout, left: float, bottom: float, nodes: list[tuple[float, float]]
) -> None:
    colour = OPERATION_COLOURS[edge.operation]
    lane, start = left + edge.lane, nodes[edge.source][1]
    x, y = left + edge.label[0], bottom + edge.label[1]
    label_right = x + LABEL_SIZE[0] / 2
    target_x, target_y = nodes[edge.target]
    axes.add_patch(Circle((lane, start), 0.04, facecolor=colour, edgecolor="none", zorder=3))
    _line(axes, [(lane, start), (lane, y), (x, y)], colour, width=2.2, halo=True, zorder=2)
    # Into the circle at an angle, so that both operations of a node meet in its plus.
    _line(axes, [(label_right - 0.05, y), (target_x, target_y)], colour, width=2.2, zorder=2)
    _box(axes, x, y, *LABEL_SIZE, colour, edge="white", gid=operation_label(cell, edge.target, edge.slot))
    _text(axes, x, y - 0.01, OPERATION_NAMES[edge.operation], color=text_colour(colour))


def _draw_network(axes: Axes, position: int, layers: int, left: float, right: float, top: float) -> None:
    """Draw stem, blocks and tail in a row; what works at high resolution is drawn taller."""
    low, high, end_width, arrow = 0.42, 0.84, 0.6, 0.4
    _text(axes, left, top - 0.1, "Network", size=13, weight="bold", ha="left")
    middle = top - 0.55 - high / 2
    pitch = min((right - left - 2 * end_width - 0.3 - arrow) / layers, 1.1)
    first = left + end_width + 0.15
    last = first + layers * pitch
    tail = last + 0.15 + end_width / 2
    border = first + (position - 1) * pitch
    _line(axes, [(left, middle), (tail + end_width / 2 + arrow, middle)], INK, width=1.4, arrow=True, zorder=1)
    _box(axes, left + end_width / 2, middle, end_width, low, NODE, edge=INK)
    _text(axes, left + end_width / 2, middle, "stem")
    numbered = range(1, layers + 1) if pitch > 0.25 else (1, position, layers)
    for index in range(1, layers + 1):
        x = first + (index - 0.5) * pitch
        colour = CELL_COLOURS["upsampling" if index == position else "normal"]
        _box(axes, x, middle, pitch * 0.76, low if index < position else high, colour, edge=INK)
        if index in numbered:
            _text(axes, x, middle, str(index), color=text_colour(colour), size=min(_FONT_SIZE, pitch * 38))
    _box(axes, tail, middle, end_width, high, NODE, edge=INK)
    _text(axes, tail, middle, "tail")
    label = max(border + pitch / 2, left + 1.65)  # clear of the heading
    _text(axes, label, top - 0.36, "upsampling cell", color=CELL_COLOURS["upsampling"], weight="bold")
    caption = middle - high / 2 - 0.2
    _text(axes, (left + border) / 2, caption, "low resolution", size=8.5, color=_MUTED)
    _text(axes, (border + tail + end_width / 2) / 2, caption, "high resolution", size=8.5, color=_MUTED)


def _line(
    axes: Axes,
    points: list[tuple[float, float]],
    colour: str,
    *,
    width: float,
    zorder: float,
    halo: bool = False,
    arrow: bool = False,
) -> None:
    """Draw a line with rounded corners; a halo lets it pass visibly over what it crosses."""
    if arrow:
        axes.annotate(
            "",
            points[-1],
            points[0],
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0},
            zorder=zorder,
        )
        return
    patch = PathPatch(
        _rounded(points), facecolor="none", edgecolor=colour, linewidth=width, capstyle="round", zorder=zorder
    )
    if halo:
        patch.set_path_effects([Stroke(linewidth=width + 1.8, foreground="white"), Normal()])
    axes.add_patch(patch)


def _rounded(points: list[tuple[float, float]], radius: float = 0.09) -> Outline:
    """Return a line through points, each inner corner replaced by a quarter turn."""
    vertices, codes = [points[0]], [Outline.MOVETO]
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        before, after = abs(x1 - x0) + abs(y1 - y0), abs(x2 - x1) + abs(y2 - y1)
        r = min(radius, before / 2, after / 2)
        vertices += [
            (x1 + (x0 - x1) * r / before, y1 + (y0 - y1) * r / before),
            (x1, y1),
            (x1 + (x2 - x1) * r / after, y1 + (y2 - y1) * r / after),
        ]
        codes += [Outline.LINETO, Outline.CURVE3, Outline.CURVE3]
    return Outline([*vertices, points[-1]], [*codes, Outline.LINETO])


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str,
    *,
    edge: str,
    gid: str | None = None,
) -> None:
    """Draw a rounded box around a centre."""
    radius = min(0.09, width / 4, height / 4)
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={radius}",
            facecolor=colour,
            edgecolor=edge,
            linewidth=1.0,
            zorder=3,
            gid=gid,
        )
    )


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = _FONT_SIZE,
    color: str = INK,
    ha: str = "center",
    weight: str = "normal",
    rotation: float = 0,
    zorder: float = 6,
) -> None:
    axes.text(
        x,
        y,
        text,
        fontsize=size,
        color=color,
        ha=ha,
        va="center_baseline" if not rotation else "center",
        weight=weight,
        rotation=rotation,
        zorder=zorder,
    )
