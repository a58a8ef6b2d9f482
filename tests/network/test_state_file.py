"""What a training goes on from, as a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from full_disk import no_room

from hnas_nni.network.state_file import save_state


def test_a_full_disk_is_named_and_keeps_the_last_whole_state(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state({"step": 1}, path)
    with no_room(), pytest.raises(OSError, match="File too large") as error:
        save_state({"step": 2, "weights": torch.zeros(10_000)}, path)
    assert error.value.filename == str(path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]
