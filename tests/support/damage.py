"""Ways of damaging what a program reads, drawn by hypothesis: bytes, and values of JSON documents."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**63, -(2**63), 10**30, 1e308, float("nan"), float("inf"), 0.5]),
    st.text(max_size=8),
    st.sampled_from(["", "x" * 5000, "\x1b[2J\n\r", "\ud800", "HNAS-A", "identity", "paper", "efficient", "/dev/zero"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def nested(depth: int) -> Any:
    """Return lists within lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def damaged_bytes(draw: st.DrawFn, sound: bytes, first: int | None = None) -> bytes:
    """Bytes that were changed, cut short, taken out or put in, in the first so many of them."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(content), first or len(content))))
        kind = draw(st.sampled_from(["change", "change", "cut", "remove", "insert"]))
        if kind == "change" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + draw(st.integers(1, 40))]
        else:
            content[at:at] = draw(st.binary(max_size=20))
    return bytes(content)


@st.composite
def damaged_document(draw: st.DrawFn, sound: Any) -> Any:
    """A JSON document in which some values are others, are missing, or stand where none belongs."""
    document = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.integers(0, 3)) == 0:
                kind = draw(st.sampled_from(["replace", "replace", "remove", "add", "wrap"]))
                if kind == "replace":
                    place[key] = draw(VALUES)
                elif kind == "remove":
                    del place[key]
                elif kind == "wrap":
                    place[key] = [place[key]]
                elif isinstance(place, dict):
                    place[draw(st.text(max_size=6))] = draw(VALUES)
                else:
                    place.append(draw(VALUES))
                break
            place = place[key]
    return document
