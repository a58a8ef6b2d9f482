"""Pictures of architectures for web pages: small inline SVGs that follow the page's light or dark theme."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_hex
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.report.canvas import FONT_SIZE, ON_COLOUR
from hnas_nni.report.drawing import draw_cell, draw_network
from hnas_nni.report.palette import INK, MUTED, NODE, PAPER, WIRE, on_dark
from hnas_nni.report.text import cell_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_POINTS = 72  # in an inch
_SCALE = 1.2
"""Pixels of the page for a point of the picture, so that the smallest text, of 8.5 points, has 10 pixels."""
_THEMES = {INK: "ink", NODE: "node", WIRE: "wire", PAPER: "paper", MUTED: "muted"}
_DARK = {INK: "#e6e9ed", NODE: "#2b323a", WIRE: "#8a929b", PAPER: "#161a1f", MUTED: "#a3adb8"}
_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


@lru_cache(maxsize=512)  # a report that is made anew shows most architectures again
def cells_svg(genotype: Genotype) -> dict[str, str]:
    """Return the pictures of the two cells, ``"normal"`` and ``"upsampling"``."""
    return {
        name: _to_svg(draw_cell(name, cell, genotype.space), f"{name} cell: {'; '.join(cell_in_words(name, cell))}")
        for name, cell in genotype.cells()
    }


def network_svg(genotype: Genotype, layers: int = DEFAULT_LAYERS) -> str:
    """Return the picture of the network, as wide as its blocks need; `layers` where the genotype leaves L open."""
    title = f"network: the upsampling cell is block {genotype.position} of {genotype.depth or layers}"
    return _to_svg(draw_network(genotype, layers), title)


def stylesheet() -> str:
    """Return the CSS that the pictures need, with a light and a dark theme; paper stays white in print."""
    light = {f"--hnas-{name}": colour for colour, name in _THEMES.items()}
    dark = {f"--hnas-{name}": _DARK[colour] for colour, name in _THEMES.items()}
    for name, operation in OPERATIONS.items():
        light[f"--hnas-line-{name}"] = operation.colour
        dark[f"--hnas-line-{name}"] = on_dark(operation.colour, _DARK[PAPER])
    rules = f".hnas-picture{{display:block;font:{FONT_SIZE:g}px system-ui,sans-serif;text-anchor:middle}}"
    rules += ".hnas-picture .l{fill:none;stroke-linecap:round;stroke-linejoin:round}"
    return (
        f":root{{{_declarations(light)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_declarations(dark)}}}}}\n{rules}\n"
    )


def _declarations(values: dict[str, str]) -> str:
    return ";".join(f"{name}:{value}" for name, value in values.items())


def _to_svg(figure: Figure, title: str) -> str:
    """Return a picture as SVG; `title` is what a screen reader says."""
    figure.set_dpi(_POINTS)
    figure.patch.set_visible(False)
    width, height = figure.bbox.size
    renderer = _PageRenderer(width, height)
    figure.draw(renderer)
    size = f'width="{width * _SCALE:.0f}" height="{height * _SCALE:.0f}" role="img" aria-label="{escape(title)}"'
    box = f"0 0 {_number(width)} {_number(height)}"
    return f'<svg class="hnas-picture" viewBox="{box}" {size}>{"".join(renderer.elements)}</svg>'


class _PageRenderer(RendererBase):
    """Collects what matplotlib draws as SVG elements.

    Neutral tones are ``var(--hnas-ink)`` and the like, lines of operations ``var(--hnas-line-rcab)``:
    :func:`stylesheet` defines them. Matplotlib's own SVG has no themes, and is eight times as long.

    Parameters
    ----------
    width, height
        Of the picture, in points.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__()
        self.elements: list[str] = []
        self._width, self._height = width, height
        self._downwards = Affine2D().scale(1, -1).translate(0, height)
        self._operations = {operation.colour: name for name, operation in OPERATIONS.items()}
        self._name: str | None = None

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self._width, self._height

    def get_text_width_height_descent(self, *_: Any) -> tuple[float, float, float]:
        return 0, 0, 0  # the browser sets the text around its point, in a font of its own

    def open_group(self, s: str, gid: str | None = None) -> None:
        self._name = gid

    def draw_path(
        self,
        gc: GraphicsContextBase,
        path: Path,
        transform: Transform,
        rgbFace: Any = None,  # noqa: N803
    ) -> None:
        way = ""
        for vertices, code in path.transformed(transform + self._downwards).iter_segments(simplify=False):
            way += _COMMANDS[code] + ("" if code == Path.CLOSEPOLY else " ".join(map(_number, vertices)))
        edge, width = to_hex(gc.get_rgb()), gc.get_linewidth()
        if rgbFace is None:
            style = f'class="l" stroke="{self._line_colour(edge)}"'
        elif not width:
            style = f'fill="{self._line_colour(to_hex(rgbFace))}"'
        else:
            style = f'fill="{_theme_colour(to_hex(rgbFace))}" stroke="{_theme_colour(edge)}"'
        style += "" if width in (0, 1) else f' stroke-width="{width:g}"'
        style += f' data-name="{escape(self._name)}"' if self._name else ""
        self.elements.append(f'<path d="{way}" {style}/>')

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        assert mtext is not None  # it is None only for texts of several lines
        x, y = self._downwards.transform(mtext.get_transform().transform(mtext.get_position()))
        colour, size = to_hex(gc.get_rgb()), prop.get_size_in_points()
        style = f'fill="{colour if mtext.get_label() == ON_COLOUR else _theme_colour(colour)}"'
        style += "" if size == FONT_SIZE else f' font-size="{size:g}"'
        style += "" if prop.get_weight() == "normal" else f' font-weight="{prop.get_weight()}"'
        style += ' text-anchor="start"' if mtext.get_horizontalalignment() == "left" else ""
        place = f"{_number(x)} {_number(y)}"
        style += f' transform="rotate({-angle:g} {place})"' if angle else ""
        x_and_y = 'x="{}" y="{}"'.format(*place.split())
        self.elements.append(f'<text {x_and_y} dy=".35em" {style}>{escape(s)}</text>')

    def _line_colour(self, colour: str) -> str:
        """Return the CSS colour of a line: an operation's is lightened where the theme is dark."""
        name = self._operations.get(colour)
        return f"var(--hnas-line-{name})" if name else _theme_colour(colour)


def _theme_colour(colour: str) -> str:
    return f"var(--hnas-{_THEMES[colour]})" if colour in _THEMES else colour


def _number(points: float) -> str:
    return f"{points:.1f}".removesuffix(".0")
