"""What pictures are drawn on: matplotlib's axes for files, or the elements of an SVG for a web page.

Coordinates are in inches from the lower left corner. Colours of the palette's neutral tones (:data:`~hnas_nni.report.\
palette.INK` and the like) are themes on a page: it may have them light on dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hnas_nni.report.palette import INK, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE = 9.0
"""Points of most texts."""

Point = tuple[float, float]


class Canvas(Protocol):
    """Something to draw lines, boxes, discs and texts on."""

    def line(
        self, points: list[Point], colour: str, *, width: float, zorder: float, halo: bool = False, arrow: bool = False
    ) -> None:
        """Draw a line with rounded corners, its width in points; a halo lets it pass visibly over what it crosses."""

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, edge: str, name: str | None = None
    ) -> None:
        """Draw a rounded box around a centre; `name` tells it apart from others."""

    def disc(self, x: float, y: float, radius: float, colour: str, *, edge: str | None = None, zorder: float) -> None:
        """Draw a disc around a centre."""

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
        """Write a text around a point; `on` is the colour of the box that it lies on, if that decides its own."""


def corner_radius(width: float, height: float) -> float:
    """Return the radius of a box's corners."""
    return min(0.09, width / 4, height / 4)


def rounded(points: list[Point], radius: float = 0.09) -> list[tuple[Point, Point, Point]]:
    """Return the inner corners of a line, each as ``(where the turn begins, its corner, where it ends)``."""
    turns = []
    for (x0, y0), (x1, y1), (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        before, after = abs(x1 - x0) + abs(y1 - y0), abs(x2 - x1) + abs(y2 - y1)
        r = min(radius, before / 2, after / 2)
        begin = (x1 + (x0 - x1) * r / before, y1 + (y0 - y1) * r / before)
        end = (x1 + (x2 - x1) * r / after, y1 + (y2 - y1) * r / after)
        turns.append((begin, (x1, y1), end))
    return turns


class MatplotlibCanvas:
    """Draws on matplotlib's axes, whose units are inches."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes

    def line(
        self, points: list[Point], colour: str, *, width: float, zorder: float, halo: bool = False, arrow: bool = False
    ) -> None:
        """As :meth:`Canvas.line`."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path
        from matplotlib.patheffects import Normal, Stroke

        if arrow:
            style = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
            self._axes.annotate("", points[-1], points[0], arrowprops=style, zorder=zorder)
            return
        vertices, codes = [points[0]], [Path.MOVETO]
        for turn in rounded(points):
            vertices += turn
            codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
        outline = Path([*vertices, points[-1]], [*codes, Path.LINETO])
        patch = PathPatch(outline, facecolor="none", edgecolor=colour, linewidth=width, capstyle="round", zorder=zorder)
        if halo:
            patch.set_path_effects([Stroke(linewidth=width + 1.8, foreground="white"), Normal()])
        self._axes.add_patch(patch)

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, edge: str, name: str | None = None
    ) -> None:
        """As :meth:`Canvas.box`."""
        from matplotlib.patches import FancyBboxPatch

        self._axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={corner_radius(width, height)}",
                facecolor=colour,
                edgecolor=edge,
                linewidth=1.0,
                zorder=3,
                gid=name,
            )
        )

    def disc(self, x: float, y: float, radius: float, colour: str, *, edge: str | None = None, zorder: float) -> None:
        """As :meth:`Canvas.disc`."""
        from matplotlib.patches import Circle

        self._axes.add_patch(
            Circle((x, y), radius, facecolor=colour, edgecolor=edge or "none", linewidth=1.2, zorder=zorder)
        )

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
        self._axes.text(
            x,
            y,
            text,
            fontsize=size,
            color=color if on is None else text_colour(on),
            ha=ha,
            va="center_baseline" if not rotation else "center",
            weight=weight,
            rotation=rotation,
            zorder=zorder,
        )
