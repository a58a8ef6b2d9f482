"""Search-space files for nnictl: where they lie, and their form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import DEFAULT_LAYERS


def search_space_path(layers: int | None = None, space: str = "paper") -> Path:
    """Return the search-space file of this package; the choices are the same for every upscaling factor.

    Parameters
    ----------
    layers
        L, the number of blocks, in the paper's space: 6 or 12, 12 if not given.
    space
        "paper", or "efficient", whose L is searched.

    Raises
    ------
    FileNotFoundError
        If there is no file of that kind.
    """
    name = f"hnas_{layers or DEFAULT_LAYERS}_layers" if space == "paper" else space
    path = Path(__file__).with_name(f"{name}.json")
    if not path.is_file() or (space != "paper" and layers is not None):
        raise FileNotFoundError(
            f"{path.name}: no such search space; write one with "
            f"'python -m search_spaces --space {space} --layers {layers or DEFAULT_LAYERS} --out FILE'"
        )
    return path


def search_space_text(space: Mapping[str, Any]) -> str:
    """Return a search space as JSON text, one label a line, so that versions compare well."""
    lines = [f"  {json.dumps(label)}: {json.dumps(choice)}" for label, choice in space.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
