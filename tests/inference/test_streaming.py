"""Memory of large pictures: what is written while it is computed is never there as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_WIDTH, _LOW, _HIGH = 1000, 300, 2700
_SCALE = 4
_LARGER = (_HIGH - _LOW) * _SCALE * _WIDTH * _SCALE * 3
"""Bytes that the pixels of the higher result are more than those of the lower."""

_PROGRAM = """
import resource, sys
import numpy as np
from hnas_nni.inference import Bicubic, picture_files
from hnas_nni.inference.pictures import Picture
from hnas_nni.inference.upscaling import upscale_rows

path, format, height = sys.argv[1], sys.argv[2], int(sys.argv[3])
picture_files._LARGE = 0
row = np.random.default_rng(0).integers(0, 256, (1, WIDTH, 3), dtype=np.uint8)
picture = Picture(row.repeat(height, axis=0))
picture_files.write_rows(upscale_rows(picture, Bicubic(SCALE), 100), path, format)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
""".replace("WIDTH", str(_WIDTH)).replace("SCALE", str(_SCALE))


def _peak_memory(path: Path, format: str, height: int) -> int:
    command = [sys.executable, "-c", _PROGRAM, str(path), format, str(height)]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with Image.open(path) as image:
        assert (image.format, image.size) == (format, (_SCALE * _WIDTH, _SCALE * height))
    return peak


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_a_higher_picture_takes_no_more_memory(tmp_path: Path, format: str) -> None:
    low, high = (_peak_memory(tmp_path / f"{height}", format, height) for height in (_LOW, _HIGH))
    # The LR picture, which does lie in the memory, has a sixteenth of the result's pixels.
    assert high - low < _LARGER / 3
