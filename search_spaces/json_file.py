"""Search-space files for nnictl: where they lie, and their form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def search_space_path(scale: int) -> Path:
    """Return the search-space file of this package, for networks of 12 layers.

    Parameters
    ----------
    scale
        Upscaling factor: 2, 3 or 4.

    Raises
    ------
    FileNotFoundError
        If there is no file for this scale.
    """
    path = Path(__file__).with_name(f"hnas_x{scale}.json")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.name}: no such search space; write one with 'python -m search_spaces --out FILE'"
        )
    return path


def search_space_text(space: Mapping[str, Any]) -> str:
    """Return a search space as JSON text, one label a line, so that versions compare well."""
    lines = [f"  {json.dumps(label)}: {json.dumps(choice)}" for label, choice in space.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
