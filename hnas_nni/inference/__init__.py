"""Using trained networks: images of any size in tiles, self-ensemble, image files of many kinds.

Importing this package loads torch.
"""

from __future__ import annotations

from hnas_nni.devices import choose_device
from hnas_nni.inference.enlarging import enlarge, tile_size
from hnas_nni.inference.models import (
    BICUBIC,
    Bicubic,
    Model,
    NetworkModel,
    Pixels,
    read_model,
    read_models,
)
from hnas_nni.inference.receptive_field import is_local, receptive_radius
from hnas_nni.inference.self_ensemble import self_ensemble

__all__ = [
    "BICUBIC",
    "Bicubic",
    "Model",
    "NetworkModel",
    "Pixels",
    "choose_device",
    "enlarge",
    "is_local",
    "read_model",
    "read_models",
    "receptive_radius",
    "self_ensemble",
    "tile_size",
]
