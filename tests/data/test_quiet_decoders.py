"""Damaged and large image files: an image or an error, and no remarks of decoders on the terminal."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.data.images import ImageError, read_image
from hnas_nni.pictures.reading import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("read", [read_image, read_picture])
def test_libtiff_says_nothing(
    read: Callable[[Path], object], tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    draw = random.Random(0)
    refused = 0
    for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate"):
        buffer = io.BytesIO()
        Image.fromarray(PIXELS).save(buffer, "TIFF", compression=compression)
        for _ in range(20):
            damaged = bytearray(buffer.getvalue())
            damaged[draw.randrange(len(damaged) - 150, len(damaged))] = draw.randrange(256)
            (tmp_path / "it.tif").write_bytes(damaged)
            try:
                read(tmp_path / "it.tif")
            except ImageError:
                refused += 1
    assert refused  # there was something to remark on
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_a_large_image_is_read_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "it.png")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", PIXELS[..., 0].size - 1
    )  # above it Pillow warns, at twice it refuses
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (read_image(tmp_path / "it.png") == PIXELS).all()
