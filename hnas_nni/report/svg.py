"""Pictures of architectures for web pages: small inline SVGs that follow the page's light or dark theme."""

from __future__ import annotations

from html import escape

from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.report.canvas import FONT_SIZE, Point, corner_radius, rounded
from hnas_nni.report.palette import (
    CELL_COLOURS,
    INK,
    MUTED,
    NODE,
    PAPER,
    WIRE,
    on_dark,
    text_colour,
)

_POINTS = 72  # in an inch
_SCALE = 1.2
"""Pixels of the page for a point of the picture, so that the smallest text, of 8.5 points, has 10 pixels."""
_THEMES = {INK: "ink", NODE: "node", WIRE: "wire", PAPER: "paper", MUTED: "muted"}
_DARK = {INK: "#e6e9ed", NODE: "#2b323a", WIRE: "#8a929b", PAPER: "#161a1f", MUTED: "#a3adb8"}


class SvgCanvas:
    """Collects SVG elements; see :class:`hnas_nni.report.canvas.Canvas` for the methods.

    Neutral tones are ``var(--hnas-ink)`` and the like, lines of operations ``var(--hnas-line-rcab)``:
    :func:`stylesheet` defines them.

    Parameters
    ----------
    width, height
        Of the picture, in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._elements: list[tuple[float, str]] = []

    def line(
        self, points: list[Point], colour: str, *, width: float, zorder: float, halo: bool = False, arrow: bool = False
    ) -> None:
        """As :meth:`Canvas.line`."""
        way = f"M{self._at(points[0])}"
        for begin, corner, end in rounded(points):
            way += f"L{self._at(begin)}Q{self._at(corner)} {self._at(end)}"
        way += f"L{self._at(points[-1])}"
        if halo:
            self._add(zorder, f'<path d="{way}" class="l" stroke="var(--hnas-paper)" stroke-width="{width + 1.8:g}"/>')
        self._add(zorder, f'<path d="{way}" class="l" stroke="{_line_colour(colour)}" stroke-width="{width:g}"/>')
        if arrow:
            x, y = points[-1]
            head = " ".join(self._at(point) for point in ((x, y), (x - 0.1, y + 0.05), (x - 0.1, y - 0.05)))
            self._add(zorder, f'<polygon points="{head}" fill="{_line_colour(colour)}"/>')

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, edge: str, name: str | None = None
    ) -> None:
        """As :meth:`Canvas.box`."""
        size = f'width="{_number(width)}" height="{_number(height)}" rx="{_number(corner_radius(width, height))}"'
        corner = self._at((x - width / 2, y + height / 2)).split(",")
        label = f' data-name="{escape(name)}"' if name else ""
        edge = "var(--hnas-edge)" if edge == PAPER else _fill(edge)
        self._add(3, f'<rect x="{corner[0]}" y="{corner[1]}" {size} fill="{_fill(colour)}" stroke="{edge}"{label}/>')

    def disc(self, x: float, y: float, radius: float, colour: str, *, edge: str | None = None, zorder: float) -> None:
        """As :meth:`Canvas.disc`."""
        centre = self._at((x, y)).split(",")
        stroke = f' stroke="{_fill(edge)}" stroke-width="1.2"' if edge else ""
        fill = _fill(colour) if edge else _line_colour(colour)
        self._add(zorder, f'<circle cx="{centre[0]}" cy="{centre[1]}" r="{_number(radius)}" fill="{fill}"{stroke}/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = FONT_SIZE,
        color: str = INK,
        on: str | None = None,
        ha: str = "center",
        weight: str = "normal",
        rotation: float = 0,
        zorder: float = 6,
    ) -> None:
        """As :meth:`Canvas.text`."""
        place = self._at((x, y)).split(",")
        style = "" if size == FONT_SIZE else f' font-size="{size:g}"'
        style += "" if weight == "normal" else f' font-weight="{weight}"'
        style += ' text-anchor="start"' if ha == "left" else ""
        style += f' transform="rotate({-rotation:g} {place[0]} {place[1]})"' if rotation else ""
        fill = _fill(color) if on is None or on in _THEMES else text_colour(on)
        self._add(zorder, f'<text x="{place[0]}" y="{place[1]}" dy=".35em" fill="{fill}"{style}>{escape(text)}</text>')

    def to_svg(self, title: str) -> str:
        """Return the picture; `title` is what a screen reader says."""
        elements = "".join(element for _, element in sorted(self._elements, key=lambda item: item[0]))
        box = f"0 0 {_number(self._width)} {_number(self._height)}"
        size = f'width="{self._width * _POINTS * _SCALE:.0f}" height="{self._height * _POINTS * _SCALE:.0f}"'
        head = f'<svg class="hnas-picture" viewBox="{box}" {size} role="img" aria-label="{escape(title)}">'
        return f"{head}{elements}</svg>"

    def _add(self, zorder: float, element: str) -> None:
        self._elements.append((zorder, element))

    def _at(self, point: Point) -> str:
        return f"{_number(point[0])},{_number(self._height - point[1])}"


def cells_svg(genotype: Genotype) -> dict[str, str]:
    """Return the pictures of the two cells, ``"normal"`` and ``"upsampling"``."""
    from hnas_nni.report.drawing import cell_size, draw_cell

    pictures = {}
    for name, cell in genotype.cells():
        canvas = SvgCanvas(*cell_size(cell))
        draw_cell(canvas, name, cell)
        pictures[name] = canvas.to_svg(f"{name} cell: {_in_words(genotype, name)}")
    return pictures


def network_svg(position: int, layers: int = DEFAULT_LAYERS) -> str:
    """Return the picture of the network, as wide as its blocks need."""
    from hnas_nni.report.drawing import NETWORK_ENDS, NETWORK_HEIGHT, draw_network

    # Twelve blocks fit a page; of more each is narrower, as long as there is room for its number.
    block = min(0.62, max(0.3, 7.5 / layers))
    width = 0.1 + NETWORK_ENDS + layers * block
    canvas = SvgCanvas(width, NETWORK_HEIGHT)
    draw_network(canvas, position, layers, 0.05, width - 0.05, NETWORK_HEIGHT)
    return canvas.to_svg(f"network: the upsampling cell is block {position} of {layers}")


def stylesheet() -> str:
    """Return the CSS that the pictures need, with a light and a dark theme; paper stays white in print."""
    light = {f"--hnas-{name}": colour for colour, name in _THEMES.items()} | {"--hnas-edge": PAPER}
    dark = {f"--hnas-{name}": _DARK[colour] for colour, name in _THEMES.items()} | {"--hnas-edge": _DARK[PAPER]}
    for name, colour in _line_colours().items():
        light[f"--hnas-line-{name}"] = colour
        dark[f"--hnas-line-{name}"] = on_dark(colour, _DARK[PAPER])
    rules = ".hnas-picture{display:block;font:9px system-ui,sans-serif;text-anchor:middle}"
    rules += ".hnas-picture .l{fill:none;stroke-linecap:round;stroke-linejoin:round}"
    return (
        f":root{{{_declarations(light)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_declarations(dark)}}}}}\n{rules}\n"
    )


def _declarations(values: dict[str, str]) -> str:
    return ";".join(f"{name}:{value}" for name, value in values.items())


def _line_colours() -> dict[str, str]:
    return {**{name: operation.colour for name, operation in OPERATIONS.items()}, **CELL_COLOURS}


def _line_colour(colour: str) -> str:
    """Return the CSS colour of a line: an operation's is lightened where the theme is dark."""
    name = next((name for name, value in _line_colours().items() if value == colour), None)
    return f"var(--hnas-line-{name})" if name else _fill(colour)


def _fill(colour: str) -> str:
    if colour == CELL_COLOURS["upsampling"]:
        return colour
    return f"var(--hnas-{_THEMES[colour]})" if colour in _THEMES else colour


def _number(inches: float) -> str:
    return f"{inches * _POINTS:.1f}".removesuffix(".0")


def _in_words(genotype: Genotype, name: str) -> str:
    from hnas_nni.report.text import cell_in_words

    return "; ".join(cell_in_words(getattr(genotype, name)))
