"""Memory of large pictures: what is written while it is computed is never there as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_FORMATS = ("PNG", "JPEG", "TIFF")
_WIDTH, _LOW, _HIGH, _SCALE = 1000, 300, 2700, 4
_LARGER = (_HIGH - _LOW) * _SCALE * _WIDTH * _SCALE * 3
"""Bytes that the pixels of the higher result are more than those of the lower."""

_PROGRAM = f"""
import json, resource
import numpy as np
from hnas_nni.inference import Bicubic
from hnas_nni.pictures.picture import Picture
from hnas_nni.inference.upscaling import upscale_rows
from hnas_nni.pictures.writing import write_rows

row = np.random.default_rng(0).integers(0, 256, (1, {_WIDTH}, 3), dtype=np.uint8)

def peak_after(format, height):
    picture = Picture(row.repeat(height, axis=0))
    write_rows(upscale_rows(picture, Bicubic({_SCALE}), 100), format, format)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

peak = max(peak_after(format, {_LOW}) for format in {_FORMATS})
print(json.dumps({{format: peak_after(format, {_HIGH}) - peak for format in {_FORMATS}}}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """High pictures in each format, and in ``grown.json`` how much more memory they took than low ones."""
    folder = tmp_path_factory.mktemp("streaming")
    done = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=folder, check=True, capture_output=True, text=True)
    (folder / "grown.json").write_text(done.stdout)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("format", _FORMATS)
def test_a_higher_picture_takes_no_more_memory(folder: Path, format: str) -> None:
    with Image.open(folder / format) as image:
        assert (image.format, image.size) == (format, (_SCALE * _WIDTH, _SCALE * _HIGH))
    # The LR picture, which does lie in the memory, has a sixteenth of the result's pixels.
    assert json.loads((folder / "grown.json").read_text())[format] < _LARGER / 2
