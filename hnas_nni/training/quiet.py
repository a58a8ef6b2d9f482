"""Keeping Lightning's advice off the screen."""

from __future__ import annotations

import logging
import warnings

_LOGGERS = ("pytorch_lightning", "lightning_fabric", "pytorch_lightning.utilities.rank_zero")

_MESSAGES = (
    ".*does not have many workers.*",
    ".*has `__len__` defined.*",
    ".*LeafSpec.* is deprecated.*",
    "The number of training batches .* is smaller than the logging interval.*",
    "Checkpoint directory .* exists and is not empty.*",
    ".*is not currently using the GPU.*|GPU available but not used.*",
    ".*Found .* module.s. in eval mode.*",
    ".*litlogger.*",
    "Grad strides do not match bucket view strides.*",
)
"""Advice that does not hold for batches made on the device, or that a user can't follow; the last is about strides of
dimensions of size 1, which mean nothing."""


def silence_lightning() -> None:
    """Leave only Lightning's warnings and errors, without the advice that does not apply here, in this process."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _MESSAGES:
        warnings.filterwarnings("ignore", message)
