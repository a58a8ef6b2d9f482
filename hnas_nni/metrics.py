"""PSNR and SSIM as super-resolution papers report them.

Both are read on luma, Y of BT.601 in studio range (16..235, floating point), after the SR image was rounded
to uint8 and a border of `scale` pixels was cut from every side. Grey images count as RGB with three equal
channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

LUMA = (65.481, 128.553, 24.966)
"""Weights of R, G and B (0..1) in Y (16..235), ITU-R BT.601."""

_LUMA_OFFSET = 16.0
_PEAK = 255.0
_SSIM_SIGMA = 1.5
_SSIM_WINDOW = 11


def psnr_y(sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], scale: int) -> float:
    """Peak signal-to-noise ratio on Y.

    Parameters
    ----------
    sr, hr
        Reconstructed and true image: uint8, (h, w, 3), or (h, w) for grey.
    scale
        Width in pixels of the border that is left out.

    Returns
    -------
    float
        In dB; infinite if the images agree.

    Raises
    ------
    ValueError
        If the images are no such arrays, differ in shape, or nothing is left within the border.
    """
    import torch

    first, second = (torch.tensor(image).permute(2, 0, 1)[None] for image in _checked_pair(sr, hr))
    return float(psnr_y_batch(first, second, scale))


def pooled_psnr(values: torch.Tensor) -> float:
    """Return the PSNR of many images as one, from the mean of their squared errors.

    Parameters
    ----------
    values
        PSNR of each image, (n,), in dB; the images being of one size.
    """
    return float(-10 * (10 ** (-values / 10)).mean().log10())


def psnr_y_batch(sr: torch.Tensor, hr: torch.Tensor, scale: int) -> torch.Tensor:
    """Peak signal-to-noise ratio on Y of each image of a batch, computed on the batch's device.

    Parameters
    ----------
    sr, hr
        Reconstructed and true images: (n, 3, h, w), or (n, 1, h, w) for grey; uint8, or floating point in
        0..1, which is first cut to that range and rounded to the 256 grey levels. The two may differ in type.
    scale
        Width in pixels of the border that is left out.

    Returns
    -------
    torch.Tensor
        (n,), float64 (float32 on devices without it), in dB; infinite where the images agree.

    Raises
    ------
    ValueError
        If the shapes are no such shapes or differ, the type is another, or nothing is left within the border.
    """
    if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] not in (1, 3):
        raise ValueError(
            "SR and HR must be batches of one shape (n, 3, h, w) or (n, 1, h, w), "
            f"not {tuple(sr.shape)} and {tuple(hr.shape)}"
        )
    _check_size(sr.shape[2], sr.shape[3], scale, 1, "PSNR")
    inside = (..., slice(scale, sr.shape[2] - scale), slice(scale, sr.shape[3] - scale))
    # The offset of Y cancels in the difference.
    red, green, blue = (_grey_levels(sr[inside]) - _grey_levels(hr[inside])).div(_PEAK).unbind(dim=1)
    difference = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    error = difference.square().mean(dim=(1, 2))
    return 10 * (_PEAK**2 / error).log10()


def ssim_y(sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8], scale: int) -> float:
    """Structural similarity on Y (Wang et al., IEEE TIP 2004): 11x11 Gaussian window, sigma 1.5.

    Parameters
    ----------
    sr, hr
        Reconstructed and true image: uint8, (h, w, 3), or (h, w) for grey.
    scale
        Width in pixels of the border that is left out.

    Returns
    -------
    float
        At most 1, which only equal images reach.

    Raises
    ------
    ValueError
        If the images are no such arrays, differ in shape, or the window does not fit within the border.
    """
    from skimage.metrics import structural_similarity

    first, second = _checked_pair(sr, hr)
    height, width = first.shape[:2]
    _check_size(height, width, scale, _SSIM_WINDOW, "SSIM")
    inside = (slice(scale, height - scale), slice(scale, width - scale))
    similarity = structural_similarity(
        _luma(first[inside]),
        _luma(second[inside]),
        data_range=_PEAK,
        gaussian_weights=True,
        sigma=_SSIM_SIGMA,
        use_sample_covariance=False,
    )
    return float(similarity)


def _checked_pair(
    sr: npt.NDArray[np.uint8], hr: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Both images as (h, w, 3)."""
    for name, image in (("SR", sr), ("HR", hr)):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise ValueError(f"the {name} image must be a uint8 array, not {getattr(image, 'dtype', type(image))}")
        if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
            raise ValueError(f"the {name} image must have shape (h, w, 3) or (h, w), not {image.shape}")
    if sr.shape[:2] != hr.shape[:2]:
        raise ValueError(
            f"SR is {sr.shape[1]}x{sr.shape[0]} pixels and HR {hr.shape[1]}x{hr.shape[0]}; "
            "crop the HR image to the scale times the LR image (hnas_nni.data.modcrop)"
        )
    return _as_rgb(sr), _as_rgb(hr)


def _as_rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _check_size(height: int, width: int, scale: int, window: int, metric: str) -> None:
    if scale < 0:
        raise ValueError(f"the border that {metric} leaves out cannot be {scale} pixels wide")
    if min(height, width) < 2 * scale + window:
        raise ValueError(
            f"{metric} at x{scale} needs at least {2 * scale + window} pixels in each direction "
            f"(a border of {scale} on every side is left out), but the image is {width}x{height}"
        )


def _grey_levels(images: torch.Tensor) -> torch.Tensor:
    """Whole grey levels 0..255 in floating point, (n, 3, h, w)."""
    import torch

    if images.dtype.is_floating_point:
        images = images.float().clamp(0, 1).mul(_PEAK).round()
    elif images.dtype != torch.uint8:
        raise ValueError(f"images must be uint8 or floating point in 0..1, not {images.dtype}")
    exact = torch.float32 if images.device.type == "mps" else torch.float64
    return images.to(exact).expand(-1, 3, -1, -1)


def _luma(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    luma: npt.NDArray[np.float64] = image @ (np.array(LUMA) / _PEAK) + _LUMA_OFFSET
    return luma
