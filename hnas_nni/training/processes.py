"""The processes of a training, one for each device."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this is not one of the further processes that Lightning starts for further devices."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
