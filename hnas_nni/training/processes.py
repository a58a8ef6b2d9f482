"""The processes of a training, one for each device."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this is not one of the further processes that Lightning or torchrun start for further devices.

    Of all machines: torchrun counts in ``RANK`` over them; Lightning starts processes on one, and has ``LOCAL_RANK``.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
