"""Bicubic resizing against the documented kernel in exact fractions, and against published LR images."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hnas_nni.data import bicubic_downsample, bicubic_upsample, modcrop


def _keys(x: Fraction) -> Fraction:
    """Keys' cubic kernel, a = -1/2, as MATLAB's imresize.m documents it."""
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    if x <= 2:
        return Fraction(-1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2
    return Fraction(0)


def _resize_line(line: list[int], factor: Fraction) -> list[int]:
    """One row of pixels resized, written down from the definition with exact fractions."""
    stretch = min(factor, Fraction(1))
    result = []
    for index in range(math.ceil(len(line) * factor)):
        centre = (index + Fraction(1, 2)) / factor - Fraction(1, 2)
        reach = math.ceil(2 / stretch) + 1
        weighted = total = Fraction(0)
        for source in range(math.floor(centre) - reach, math.ceil(centre) + reach + 1):
            weight = _keys((centre - source) * stretch)
            weighted += weight * line[min(max(source, 0), len(line) - 1)]
            total += weight
        result.append(min(max(math.floor(weighted / total + Fraction(1, 2)), 0), 255))
    return result


def _resize(image: np.ndarray, factor: Fraction) -> np.ndarray:
    rows_done = np.array([_resize_line(column.tolist(), factor) for column in image.T]).T
    return np.array([_resize_line(row.tolist(), factor) for row in rows_done])


def test_halving_gives_the_weights_worked_by_hand() -> None:
    # At half size the kernel is (-3, -9, 29, 111, 111, 29, -9, -3) / 256. A line of 128 on 100 adds half
    # of each weight, so every sum ends on a half, which rounds up.
    image = np.full((16, 16), 100, np.uint8)
    image[:, 8] = 228
    row = bicubic_downsample(image, 2)[3].tolist()
    assert row == [100, 100, 99, 115, 156, 96, 100, 100]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(12, 24), (13, 11), (5, 3)])
def test_downsampling_equals_the_definition(scale: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(scale).integers(0, 256, size, np.uint8)
    assert np.array_equal(bicubic_downsample(image, scale), _resize(image, Fraction(1, scale)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upsampling_equals_the_definition(scale: int) -> None:
    image = np.random.default_rng(scale).integers(0, 256, (7, 5), np.uint8)
    assert np.array_equal(bicubic_upsample(image, scale), _resize(image, Fraction(scale)))


@pytest.mark.parametrize("resize", [bicubic_downsample, bicubic_upsample])
def test_channels_are_resized_alone_and_scale_1_changes_nothing(resize: object) -> None:
    assert callable(resize)
    image = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)
    stacked = np.stack([resize(image[..., channel], 3) for channel in range(3)], axis=2)
    assert np.array_equal(resize(image, 3), stacked)
    assert np.array_equal(resize(image, 1), image)


def test_large_scale_keeps_a_flat_image_flat() -> None:
    # At x64 the integer sums no longer fit 32 bits.
    image = np.full((128, 64), 255, np.uint8)
    assert np.array_equal(bicubic_downsample(image, 64), np.full((2, 1), 255))


def test_modcrop_keeps_the_upper_left_part() -> None:
    image = np.arange(7 * 8 * 3, dtype=np.uint8).reshape(7, 8, 3)
    assert np.array_equal(modcrop(image, 3), image[:6, :6])


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        (np.zeros((4, 4), np.float32), 2, "uint8"),
        (np.zeros(4, np.uint8), 2, r"\(h, w\)"),
        (np.zeros((0, 4), np.uint8), 2, "empty"),
        (np.zeros((4, 4), np.uint8), 0, "whole number"),
        (np.zeros((4, 4), np.uint8), 1.5, "whole number"),
    ],
)
def test_bad_input_is_refused(image: np.ndarray, scale: int, message: str) -> None:
    for resize in (bicubic_downsample, bicubic_upsample):
        with pytest.raises(ValueError, match=message):
            resize(image, scale)


if "HNAS_PUBLISHED_DATA" in os.environ:

    @pytest.mark.parametrize(("name", "scale"), [("Set5", 2), ("Set5", 3), ("Set5", 4), ("Set14", 2)])
    def test_published_lr_images_are_reproduced_to_the_bit(name: str, scale: int) -> None:
        folder = Path(os.environ["HNAS_PUBLISHED_DATA"]) / name / f"image_SRF_{scale}"
        different = {}
        for hr in sorted(folder.glob("*_HR.png")):
            lr = np.asarray(Image.open(str(hr).replace("_HR", "_LR")).convert("RGB"))
            ours = bicubic_downsample(np.asarray(Image.open(hr).convert("RGB")), scale)
            different[hr.name] = int((ours != lr).sum())
        assert set(different.values()) == {0}, different
