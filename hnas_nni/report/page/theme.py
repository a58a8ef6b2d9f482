"""Colours of the page, light and dark: for its style sheet, and for its figures."""

from __future__ import annotations

from hnas_nni.report.palette import INK, MUTED, PAPER

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "page": "#f4f6f8",
        "card": PAPER,
        "ink": INK,
        "muted": MUTED,
        "rule": "#d5dbe1",
        "accent": "#0b5cad",
        "good": "#117733",
        "points": "#5f86b3",
        "mean": "#d55e00",
        "best": "#117733",
        "front": "#882255",
        "pareto": "#882255",
        "others": "#7d94ab",
        "measured": "#7d94ab",
        "paper": "#332288",
        "comparator": "#332288",
        "winner": "#d55e00",
        "published": "#332288",
        "level-normal": "#0072b2",
        "level-upsampling": "#d55e00",
        "level-position": "#117733",
    },
    "dark": {
        "page": "#0f1216",
        "card": "#161a1f",
        "ink": "#e6e9ed",
        "muted": "#a3adb8",
        "rule": "#343c46",
        "accent": "#7db8f5",
        "good": "#6cc58a",
        "points": "#7ea6d6",
        "mean": "#ff9a4d",
        "best": "#6cc58a",
        "front": "#e58fc0",
        "pareto": "#e58fc0",
        "others": "#8497ab",
        "measured": "#8497ab",
        "paper": "#b3a7f2",
        "comparator": "#b3a7f2",
        "winner": "#ff9a4d",
        "published": "#b3a7f2",
        "level-normal": "#6db9ee",
        "level-upsampling": "#ff9a4d",
        "level-position": "#6cc58a",
    },
}
"""Colours as ``#rrggbb`` by theme and use.

All traces of one figure differ in shape or place too, not in colour alone.
"""


def variables() -> str:
    """Return the CSS that defines ``--page``, ``--ink`` and so on; print is always light."""
    light, dark = (";".join(f"--{name}:{colour}" for name, colour in THEMES[theme].items()) for theme in THEMES)
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
