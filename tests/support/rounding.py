"""What rounding to 8 bits leaves open between two computations of one figure.

Images are measured as 8-bit images. Two ways to compute the same network (one image or several in a batch, another
order of the channels in memory, another processor) differ in the last bits of a float, and a value on the verge
between two of the 256 levels then falls to the other side. One such pixel of a 24 x 24 patch moves a PSNR by some
1e-4 dB, from 10 dB up to 40; another architecture, another image or a forgotten border moves it by far more.
"""

from __future__ import annotations

from typing import Any

import pytest

PSNR_DB = 2e-3
SSIM = 5e-5


def same_psnr(expected: Any) -> Any:
    """Equal to `expected` (dB; a number or a list of them) but for a few pixels on the verge of rounding."""
    return pytest.approx(expected, abs=PSNR_DB)


def same_ssim(expected: Any) -> Any:
    """Equal to `expected` but for a few pixels on the verge of rounding."""
    return pytest.approx(expected, abs=SSIM)
