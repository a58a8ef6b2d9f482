"""What pictures are drawn on: a figure of matplotlib, in inches from the lower left corner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.report.palette import INK, text_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

FONT_SIZE = 9.0
"""Points of most texts."""

ON_COLOUR = "on a colour"
"""Label of texts that lie on a colour, which is the same in every theme, and so is theirs."""

_RADIUS = 0.09  # of corners, where there is room

Point = tuple[float, float]


class Canvas:
    """A white figure to draw lines, boxes, discs and texts on.

    Parameters
    ----------
    width, height
        Of the figure, in inches.

    Attributes
    ----------
    figure
        The figure; without axes, which would take a third of the time.
    """

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")

    def line(
        self, points: list[Point], colour: str, *, width: float, zorder: float, halo: bool = False, arrow: bool = False
    ) -> None:
        """Draw a line with rounded corners, its width in points; a halo lets it pass visibly over what it crosses."""
        from matplotlib.patches import FancyArrowPatch, PathPatch
        from matplotlib.path import Path
        from matplotlib.patheffects import Normal, Stroke

        if arrow:
            shape: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 10, "shrinkA": 0, "shrinkB": 0}
            self._add(FancyArrowPatch(points[0], points[-1], **shape, color=colour, linewidth=width, zorder=zorder))
            return
        vertices, codes = [points[0]], [Path.MOVETO]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            vertices += [_towards(before, corner), corner, _towards(after, corner)]
            codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
        outline = Path([*vertices, points[-1]], [*codes, Path.LINETO])
        patch = PathPatch(outline, facecolor="none", edgecolor=colour, linewidth=width, capstyle="round", zorder=zorder)
        if halo:
            patch.set_path_effects([Stroke(linewidth=width + 1.8, foreground="white"), Normal()])
        self._add(patch)

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, edge: str, name: str | None = None
    ) -> None:
        """Draw a rounded box around a centre; `name` tells it apart from others."""
        from matplotlib.patches import FancyBboxPatch

        shape = f"round,pad=0,rounding_size={min(_RADIUS, width / 4, height / 4)}"
        corner = (x - width / 2, y - height / 2)
        style: dict[str, Any] = {"facecolor": colour, "edgecolor": edge, "linewidth": 1.0, "zorder": 3, "gid": name}
        self._add(FancyBboxPatch(corner, width, height, boxstyle=shape, **style))

    def disc(self, x: float, y: float, radius: float, colour: str, *, edge: str | None = None, zorder: float) -> None:
        """Draw a disc around a centre."""
        from matplotlib.patches import Circle

        style = {"facecolor": colour, "edgecolor": edge or "none", "linewidth": 1.2, "zorder": zorder}
        self._add(Circle((x, y), radius, **style))

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
        self.figure.text(
            x,
            y,
            text,
            fontsize=size,
            color=color if on is None else text_colour(on),
            label=None if on is None else ON_COLOUR,
            ha=ha,
            va="center_baseline" if not rotation else "center",
            weight=weight,
            rotation=rotation,
            zorder=zorder,
            transform=self.figure.dpi_scale_trans,
        )

    def _add(self, patch: Patch) -> None:
        patch.set_transform(self.figure.dpi_scale_trans)
        self.figure.add_artist(patch)


def _towards(start: Point, corner: Point) -> Point:
    """Return where the turn of an upright or level line into a corner begins."""
    (x, y), (corner_x, corner_y) = start, corner
    share = min(_RADIUS / (abs(corner_x - x) + abs(corner_y - y)), 0.5)
    return corner_x + (x - corner_x) * share, corner_y + (y - corner_y) * share
