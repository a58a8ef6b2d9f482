"""Patches for training and for measuring, cut from images that stay decoded on the device."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hnas_nni.data.resize import ImageArray
from hnas_nni.data.sources import ImagePair

_SHIFTS = (0, 8, 16)
"""Bits by which red, green and blue are shifted in a packed pixel: one gather of 4 bytes beats three of 1."""

_DRAW_RANGE = 2**62
"""Draws are reduced modulo small numbers; from such a range the bias is below 1e-12."""


class PatchSampler:
    """Random, aligned and augmented LR/HR patches.

    All images are kept decoded in two flat buffers on the device, 4 bytes a pixel, and a batch is cut out of
    each by one gather, without a loop over the batch and without waiting for the device. As in the papers'
    loaders every image is equally likely whatever its size; within it every LR position, and each of the
    8 flips and quarter turns.

    Parameters
    ----------
    pairs
        The images; each HR side at least `patch_size` pixels.
    scale
        Factor between LR and HR.
    patch_size
        Side of the square HR patch in pixels, a multiple of the scale.
    device
        Where the images live and the patches are made.
    seed
        Decides every draw. CPU and GPU draw different sequences from the same seed.

    Raises
    ------
    ValueError
        If there are no images, one is too small or its sizes do not fit the scale, or the patch size is
        no multiple of the scale.
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        scale: int,
        patch_size: int = 96,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        _check(pairs, scale, patch_size)
        self.scale = scale
        self.patch_size = patch_size
        self.device = torch.device(device)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._lr = _packed([pair.lr for pair in pairs], self.device)
        self._hr = _packed([pair.hr for pair in pairs], self.device)
        self._shifts = torch.tensor(_SHIFTS, dtype=torch.int32, device=self.device)[:, None, None]
        patch = patch_size // scale
        heights, widths = np.array([pair.lr.shape[:2] for pair in pairs]).T
        first_pixels = np.cumsum(heights * widths) - heights * widths
        # A row for each image, in LR pixels: its start, its width, positions of a patch down and across.
        layout = np.stack([first_pixels, widths, heights - patch + 1, widths - patch + 1], axis=1)
        self._layout = torch.from_numpy(layout.astype(np.int64)).to(self.device)

    def sample(self, batch: int) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Parameters
        ----------
        batch
            Number of patches, n.

        Returns
        -------
        lr, hr : torch.Tensor
            float32 in 0..1, (n, 3, p / s, p / s) and (n, 3, p, p) for patch size p and scale s.

        Raises
        ------
        ValueError
            If `batch` is below 1.
        """
        if batch < 1:
            raise ValueError(f"a batch must hold at least 1 patch, not {batch}")
        draws = torch.randint(_DRAW_RANGE, (4, batch), generator=self._generator, device=self.device)
        first, width, tops, lefts = self._layout[draws[0] % len(self._layout)].unbind(dim=1)
        top, left, symmetry = draws[1] % tops, draws[2] % lefts, draws[3] % 8
        lr = self._cut(self._lr, first, width, top, left, self.patch_size // self.scale, symmetry)
        s = self.scale
        hr = self._cut(self._hr, first * s * s, width * s, top * s, left * s, self.patch_size, symmetry)
        return lr, hr

    def state_dict(self) -> dict[str, Any]:
        """The state of the random draws, from which :meth:`load_state_dict` goes on exactly."""
        return {"device": self.device.type, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the draws where :meth:`state_dict` was taken.

        Parameters
        ----------
        state
            Taken from a sampler on the same type of device; the images and sizes are not part of it.

        Raises
        ------
        ValueError
            If the state is from another type of device.
        """
        if state["device"] != self.device.type:
            raise ValueError(
                f"this state is from {state['device']!r} and cannot be used on {self.device.type!r}; "
                "resume on the same type of device"
            )
        self._generator.set_state(state["generator"].cpu())

    def _cut(
        self,
        pixels: Tensor,
        first: Tensor,
        width: Tensor,
        top: Tensor,
        left: Tensor,
        size: int,
        symmetry: Tensor,
    ) -> Tensor:
        """Cut one square from each of n images and flip or turn it: float32 in 0..1, (n, 3, size, size).

        Parameters
        ----------
        pixels
            Packed pixels of all images, (pixels,).
        first, width
            Of each image, (n,): index of its first pixel, and pixels in a row.
        top, left
            Upper left corner of each square, (n,).
        size
            Side of the squares.
        symmetry
            0..7, (n,): one bit each for an upside-down flip, a left-right flip and exchanged axes.
        """
        flip_rows, flip_columns, exchange = symmetry & 1, (symmetry >> 1) & 1, symmetry >> 2
        # Walking a flipped axis starts at its far end and goes back.
        start = first + (top + flip_rows * (size - 1)) * width + left + flip_columns * (size - 1)
        next_row, next_column = width * (1 - 2 * flip_rows), 1 - 2 * flip_columns
        down = torch.where(exchange == 1, next_column, next_row)
        right = torch.where(exchange == 1, next_row, next_column)
        steps = torch.arange(size, device=self.device)
        # Small indices where they suffice: computing them takes as long as the gather itself.
        index_type = torch.int32 if len(pixels) < 2**31 else torch.int64
        rows = (start[:, None] + down[:, None] * steps).to(index_type)
        columns = (right[:, None] * steps).to(index_type)
        index = rows[:, :, None] + columns[:, None, :]
        packed = pixels.index_select(0, index.flatten()).view(-1, 1, size, size)
        return torch.bitwise_right_shift(packed, self._shifts).to(torch.uint8).float().div_(255)


def fixed_patches(
    pairs: Sequence[ImagePair], scale: int, patch_size: int, count: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Choose patches once, so that every architecture is measured on the same ones.

    The images are taken in turn, and no position twice; nothing is flipped or turned.

    Parameters
    ----------
    pairs
        The images; each HR side at least `patch_size` pixels.
    scale
        Factor between LR and HR.
    patch_size
        Side of the square HR patch in pixels, a multiple of the scale.
    count
        Number of patches, n.
    seed
        Decides the positions.

    Returns
    -------
    lr, hr : torch.Tensor
        uint8 on the CPU, (n, 3, p / s, p / s) and (n, 3, p, p) for patch size p and scale s.

    Raises
    ------
    ValueError
        As for :class:`PatchSampler`, or if `count` is below 1 or exceeds the positions there are.
    """
    _check(pairs, scale, patch_size)
    if count < 1:
        raise ValueError(f"at least 1 patch must be asked for, not {count}")
    draw = random.Random(seed)
    patch = patch_size // scale
    positions = []
    for index, pair in enumerate(pairs):
        wanted = len(range(index, count, len(pairs)))
        tops, lefts = pair.lr.shape[0] - patch + 1, pair.lr.shape[1] - patch + 1
        if wanted > tops * lefts:
            raise ValueError(f"{pair.name}: {wanted} patches are wanted but only {tops * lefts} fit; ask for fewer")
        positions.append([divmod(position, lefts) for position in draw.sample(range(tops * lefts), wanted)])
    lr, hr = [], []
    for number in range(count):
        pair = pairs[number % len(pairs)]
        top, left = positions[number % len(pairs)][number // len(pairs)]
        lr.append(pair.lr[top : top + patch, left : left + patch])
        hr.append(pair.hr[top * scale :, left * scale :][:patch_size, :patch_size])
    return _batch(lr), _batch(hr)


def _check(pairs: Sequence[ImagePair], scale: int, patch_size: int) -> None:
    if not pairs:
        raise ValueError("patches need at least one image")
    if scale < 1 or patch_size < scale or patch_size % scale:
        raise ValueError(f"the patch size must be a positive multiple of the scale {scale}, not {patch_size}")
    for pair in pairs:
        height, width = pair.hr.shape[:2]
        if (pair.lr.shape[0] * scale, pair.lr.shape[1] * scale) != (height, width):
            raise ValueError(
                f"{pair.name}: HR is {width}x{height} pixels, "
                f"not {scale} times LR, {pair.lr.shape[1]}x{pair.lr.shape[0]}"
            )
        if min(height, width) < patch_size:
            raise ValueError(
                f"{pair.name}: {width}x{height} pixels are too few for patches of {patch_size}; "
                "leave the image out (minimum_size of load_pairs) or take smaller patches"
            )


def _packed(images: Sequence[ImageArray], device: torch.device) -> Tensor:
    """All pixels of all images, one after the other, red, green and blue in one int32 each: (pixels,)."""
    pixels = torch.empty(sum(image[..., 0].size for image in images), dtype=torch.int32, device=device)
    start = 0
    for image in images:
        channels = image.reshape(-1, 3).astype(np.int32)
        packed = sum(channels[:, channel] << shift for channel, shift in enumerate(_SHIFTS))
        # Image by image: a second copy of a whole data set would not fit everywhere.
        pixels[start : start + len(channels)] = torch.from_numpy(packed)
        start += len(channels)
    return pixels


def _batch(patches: Sequence[ImageArray]) -> Tensor:
    return torch.from_numpy(np.stack(patches).transpose(0, 3, 1, 2).copy())
