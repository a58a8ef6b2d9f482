"""HNAS: hierarchical neural architecture search for image super-resolution, the part without a NAS framework."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hnas_nni.genotype import Cell, Edge, Genotype, GenotypeError
from hnas_nni.published import HNAS_A, HNAS_B, HNAS_C

if TYPE_CHECKING:
    from hnas_nni.exporting import export
    from hnas_nni.inference.upscaling import upscale
    from hnas_nni.model_file import load, save

__all__ = [
    "HNAS_A",
    "HNAS_B",
    "HNAS_C",
    "Cell",
    "Edge",
    "Genotype",
    "GenotypeError",
    "export",
    "load",
    "save",
    "upscale",
]


def __getattr__(name: str) -> Any:
    # Architectures are read in many places that need no torch; the rest does.
    if name in {"load", "save"}:
        from hnas_nni import model_file

        return getattr(model_file, name)
    if name == "export":
        from hnas_nni import exporting

        return exporting.export
    if name == "upscale":
        from hnas_nni.inference.upscaling import upscale

        return upscale
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if os.environ.get("HNAS_OPERATIONS"):
    from hnas_nni.own_operations import load_modules

    load_modules()
