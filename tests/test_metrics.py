"""PSNR and SSIM against hand-worked values, scikit-image's luma and the published bicubic figures."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from skimage.color import rgb2ycbcr

from hnas_nni.data import bicubic_downsample, bicubic_upsample, load_pairs
from hnas_nni.metrics import psnr_y, psnr_y_batch, ssim_y


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """A photograph brought down and up again by x2, and the photograph: (300, 450, 3)."""
    hr = next(pair.hr for pair in load_pairs("embedded:photos", 2) if pair.name == "chelsea")
    return bicubic_upsample(bicubic_downsample(hr, 2), 2), hr


def _ssim(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM as Wang et al. (2004) write it, where the 11x11 window fits."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values: np.ndarray) -> np.ndarray:
        return convolve2d(values, window, mode="valid")

    m1, m2 = mean(first), mean(second)
    v1, v2 = mean(first**2) - m1**2, mean(second**2) - m2**2
    covariance = mean(first * second) - m1 * m2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * m1 * m2 + c1) * (2 * covariance + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))
    return float(similarity.mean())


def test_one_level_everywhere_is_worked_by_hand() -> None:
    # One grey level is 219/255 of a level of Y.
    hr = np.full((20, 20, 3), 77, np.uint8)
    assert psnr_y(hr + 1, hr, 2) == pytest.approx(20 * math.log10(255 * 255 / 219), abs=1e-9)


def test_one_green_pixel_is_worked_by_hand() -> None:
    hr = np.full((14, 14, 3), 100, np.uint8)
    sr = hr.copy()
    sr[5, 6, 1] += 10
    error = (10 * 128.553 / 255) ** 2 / 100  # 10x10 pixels lie within a border of 2.
    assert psnr_y(sr, hr, 2) == pytest.approx(10 * math.log10(255**2 / error), abs=1e-9)


def test_border_of_the_scale_is_left_out() -> None:
    hr = np.full((40, 40, 3), 100, np.uint8)
    sr = hr.copy()
    sr[:3] = sr[-3:] = 0
    sr[:, :3] = sr[:, -3:] = 0
    assert psnr_y(sr, hr, 3) == math.inf
    assert ssim_y(sr, hr, 3) == pytest.approx(1)
    assert psnr_y(sr, hr, 2) < 30
    assert ssim_y(sr, hr, 2) < 0.99


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_photograph_agrees_with_the_definition_on_another_librarys_luma(
    pictures: tuple[np.ndarray, np.ndarray], scale: int
) -> None:
    sr, hr = pictures
    first, second = (rgb2ycbcr(image)[scale:-scale, scale:-scale, 0] for image in pictures)
    assert psnr_y(sr, hr, scale) == pytest.approx(10 * np.log10(255**2 / ((first - second) ** 2).mean()), abs=1e-6)
    assert ssim_y(sr, hr, scale) == pytest.approx(_ssim(first, second), abs=1e-6)


def test_grey_counts_as_rgb(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    sr, hr = (image[..., 1] for image in pictures)
    colour_sr, colour_hr = (np.stack([image] * 3, axis=2) for image in (sr, hr))
    assert psnr_y(sr, hr, 2) == psnr_y(colour_sr, colour_hr, 2)
    assert ssim_y(sr, hr, 2) == ssim_y(colour_sr, colour_hr, 2)


def test_batch_gives_each_images_own_psnr(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    sr, hr = (torch.tensor(image).permute(2, 0, 1).unfold(2, 150, 150).permute(2, 0, 1, 3) for image in pictures)
    expected = [
        psnr_y(a.permute(1, 2, 0).contiguous().numpy(), b.permute(1, 2, 0).contiguous().numpy(), 2)
        for a, b in zip(sr, hr, strict=True)
    ]
    assert len(expected) == 3
    assert psnr_y_batch(sr, hr, 2).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floating_point_is_rounded_to_grey_levels_and_cut_to_range(dtype: torch.dtype) -> None:
    hr = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(hr.shape, generator=torch.Generator().manual_seed(1), dtype=dtype) * 0.9 - 0.45
    assert torch.isinf(psnr_y_batch((hr.to(dtype) + noise) / 255, hr, 2)).all()
    white = torch.full((1, 3, 24, 24), 255, dtype=torch.uint8)
    assert torch.isinf(psnr_y_batch(torch.full(white.shape, 1.5, dtype=dtype), white, 2)).all()


def test_equal_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    assert psnr_y(image, image, 2) == math.inf
    assert ssim_y(image, image, 2) == 1


@pytest.mark.parametrize("metric", [psnr_y, ssim_y])
@pytest.mark.parametrize(
    ("sr_shape", "hr_shape", "message"),
    [
        ((40, 40, 3), (41, 40, 3), "SR is 40x40 pixels and HR 40x41"),
        ((40, 40, 4), (40, 40, 4), "shape"),
        ((4, 40, 3), (4, 40, 3), "at least"),
    ],
)
def test_bad_images_are_refused(
    metric: object, sr_shape: tuple[int, ...], hr_shape: tuple[int, ...], message: str
) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=message):
        metric(np.zeros(sr_shape, np.uint8), np.zeros(hr_shape, np.uint8), 2)
    with pytest.raises(ValueError, match="uint8"):
        metric(np.zeros((40, 40, 3)), np.zeros((40, 40, 3)), 2)


def test_ssim_window_must_fit() -> None:
    image = np.zeros((14, 40, 3), np.uint8)
    assert psnr_y(image, image, 2) == math.inf
    with pytest.raises(ValueError, match="SSIM at x2 needs at least 15 pixels"):
        ssim_y(image, image, 2)


def test_bad_batches_are_refused() -> None:
    batch = torch.zeros(1, 3, 20, 20)
    with pytest.raises(ValueError, match="one shape"):
        psnr_y_batch(batch, torch.zeros(2, 3, 20, 20), 2)
    with pytest.raises(ValueError, match="one shape"):
        psnr_y_batch(batch[0], batch[0], 2)
    with pytest.raises(ValueError, match="int64"):
        psnr_y_batch(batch.long(), batch.long(), 2)


if "HNAS_PUBLISHED_DATA" in os.environ:

    @pytest.mark.parametrize(
        ("name", "scale", "psnr", "ssim"),
        # Bicubic rows of SelfExSR and its successors; they resize Y itself, hence the width of the margin.
        [
            ("Set5", 2, 33.66, 0.9299),
            ("Set5", 3, 30.39, 0.8682),
            ("Set5", 4, 28.42, 0.8104),
            ("Set14", 2, 30.24, 0.8688),
        ],
    )
    def test_published_bicubic_figures(name: str, scale: int, psnr: float, ssim: float) -> None:
        pairs = load_pairs(Path(os.environ["HNAS_PUBLISHED_DATA"]) / name, scale)
        upsampled = [bicubic_upsample(pair.lr, scale) for pair in pairs]
        psnrs = [psnr_y(sr, pair.hr, scale) for sr, pair in zip(upsampled, pairs, strict=True)]
        ssims = [ssim_y(sr, pair.hr, scale) for sr, pair in zip(upsampled, pairs, strict=True)]
        assert np.mean(psnrs) == pytest.approx(psnr, abs=0.09)
        assert np.mean(ssims) == pytest.approx(ssim, abs=0.0015)
