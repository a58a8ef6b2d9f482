"""Options of a command in place of others; an option that is given twice is refused."""

from __future__ import annotations

from collections.abc import Sequence


def with_options(base: Sequence[str], *others: str) -> list[str]:
    """Return options as ``--name value`` or ``--name=value``, those of `base` without the ones that `others` give."""
    names = {word.partition("=")[0] for word in others if word.startswith("--")}
    kept: list[str] = []
    dropped = False
    for word in base:
        if word.startswith("--"):
            dropped = word.partition("=")[0] in names
        if not dropped:
            kept.append(word)
    return [*kept, *others]
