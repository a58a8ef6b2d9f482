"""The patch sampler: every patch is a piece of an image, aligned, in all symmetries and from everywhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hnas_nni.data import ImagePair, PatchSampler, bicubic_downsample, fixed_patches

SYMMETRIES = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]


def _undo(patch: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    turned = np.rot90(patch, turns)
    return turned[:, ::-1] if mirrored else turned


def _image(patch: torch.Tensor) -> np.ndarray:
    """(3, p, p) in 0..1 as the uint8 image it was; the values must be whole grey levels."""
    levels = patch.mul(255)
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    return levels.round().to(torch.uint8).permute(1, 2, 0).numpy()


def _find(piece: np.ndarray, image: np.ndarray) -> list[tuple[int, int]]:
    """Where the piece is in the image."""
    size = piece.shape[0]
    rows, columns = image.shape[0] - size + 1, image.shape[1] - size + 1
    if rows < 1 or columns < 1:
        return []
    corners = (image[:rows, :columns] == piece[0, 0]).all(axis=2)
    places = [(int(top), int(left)) for top, left in np.argwhere(corners)]
    return [(top, left) for top, left in places if np.array_equal(image[top : top + size, left : left + size], piece)]


def _origins(lr: torch.Tensor, hr: torch.Tensor, pairs: list[ImagePair], scale: int) -> list[tuple[Any, ...]]:
    """Every (image, top, left, symmetry) from which this LR and this HR patch come, both alike."""
    found = []
    lr_image, hr_image = _image(lr), _image(hr)
    size = hr_image.shape[0]
    for symmetry in SYMMETRIES:
        lr_piece, hr_piece = _undo(lr_image, *symmetry), _undo(hr_image, *symmetry)
        for pair in pairs:
            for top, left in _find(lr_piece, pair.lr):
                hr_there = pair.hr[top * scale : top * scale + size, left * scale : left * scale + size]
                if np.array_equal(hr_there, hr_piece):
                    found.append((pair.name, top, left, symmetry))
    return found


def _coordinates(name: str, height: int, width: int, scale: int, number: int) -> ImagePair:
    """A pair whose pixels tell where they are: row, column and number of the image."""
    rows, columns = np.mgrid[:height, :width]
    lr = np.stack([rows, columns, np.full_like(rows, number)], axis=2).astype(np.uint8)
    return ImagePair(name, lr, lr.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.fixture()
def pairs(photos: dict[str, ImagePair]) -> list[ImagePair]:
    """Three photographs of different shapes."""
    return [photos["motorcycle"], photos["chelsea"], photos["astronaut"]]


@pytest.mark.slow
def test_every_pair_is_a_piece_of_an_image_and_all_symmetries_occur(pairs: list[ImagePair]) -> None:
    lr, hr = PatchSampler(pairs, 2, patch_size=32, seed=3).sample(60)
    assert lr.dtype == hr.dtype == torch.float32
    assert lr.shape == (60, 3, 16, 16)
    assert hr.shape == (60, 3, 32, 32)
    assert lr.is_contiguous() and hr.is_contiguous()
    origins = [_origins(*patches, pairs, 2) for patches in zip(lr, hr, strict=True)]
    assert all(origins)
    alone = [found[0] for found in origins if len(found) == 1]
    assert {symmetry for *_, symmetry in alone} == set(SYMMETRIES)
    assert {name for name, *_ in alone} == {"motorcycle", "chelsea", "astronaut"}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_is_hr_brought_down_inside_the_patch(photos: dict[str, ImagePair], scale: int) -> None:
    hr_image = photos["astronaut"].hr[:480, :480]
    pair = ImagePair("astronaut", bicubic_downsample(hr_image, scale), hr_image)
    lr, hr = PatchSampler([pair], scale, patch_size=24 * scale).sample(16)
    for lr_patch, hr_patch in zip(lr, hr, strict=True):
        # Rows come before columns, with rounding between, so a patch with exchanged axes is brought down the
        # other way round. Within two LR pixels of its border a patch lacks pixels that the kernel reaches.
        hr_piece, lr_piece = _image(hr_patch), _image(lr_patch)
        straight = bicubic_downsample(hr_piece, scale)
        exchanged = bicubic_downsample(hr_piece.transpose(1, 0, 2), scale).transpose(1, 0, 2)
        inside = (slice(2, -2), slice(2, -2))
        assert any(np.array_equal(lr_piece[inside], down[inside]) for down in (straight, exchanged))


def test_crops_reach_every_position_of_every_image_equally(photos: dict[str, ImagePair]) -> None:
    images = [_coordinates("wide", 6, 9, 3, 0), _coordinates("tall", 8, 5, 3, 1)]
    sampler = PatchSampler(images, 3, patch_size=15)
    lr, hr = sampler.sample(6000)
    corners = (lr.amin(dim=(2, 3)) * 255).round().int()
    # 2 x 5 and 4 x 1 positions of a 5x5 patch.
    seen = Counter((number, top, left) for top, left, number in corners.tolist())
    assert set(seen) == {(0, top, left) for top in range(2) for left in range(5)} | {(1, top, 0) for top in range(4)}
    # Images are equally likely, then their positions: 300 and 750 expected, 6 standard deviations allowed.
    for (number, _, _), count in seen.items():
        assert abs(count - (750 if number else 300)) < (160 if number else 102)
    assert torch.equal(lr.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3), hr)


def test_seed_decides_the_draws(pairs: list[ImagePair]) -> None:
    first, again, other = (PatchSampler(pairs, 2, 48, seed=seed).sample(4)[1] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_sampling_does_not_disturb_torchs_own_generator(pairs: list[ImagePair]) -> None:
    state = torch.get_rng_state()
    PatchSampler(pairs, 2, 48).sample(4)
    assert torch.equal(torch.get_rng_state(), state)


def test_resume_goes_on_exactly(pairs: list[ImagePair], tmp_path: Any) -> None:
    sampler = PatchSampler(pairs, 2, 48, seed=1)
    sampler.sample(3)
    torch.save(sampler.state_dict(), tmp_path / "state.pt")
    expected = [sampler.sample(3) for _ in range(2)]
    resumed = PatchSampler(pairs, 2, 48, seed=99)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for lr, hr in expected:
        lr_again, hr_again = resumed.sample(3)
        assert torch.equal(lr, lr_again)
        assert torch.equal(hr, hr_again)


def test_state_of_another_device_is_refused(pairs: list[ImagePair]) -> None:
    sampler = PatchSampler(pairs, 2, 48)
    with pytest.raises(ValueError, match="from 'cuda'"):
        sampler.load_state_dict({**sampler.state_dict(), "device": "cuda"})


def test_a_batch_takes_one_gather_per_resolution_and_never_asks_the_device_for_a_value(
    pairs: list[ImagePair],
) -> None:
    sampler = PatchSampler(pairs, 2, 48)
    counts = []
    for batch in (1, 16):
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            sampler.sample(batch)
        names = [event.name.removeprefix("aten::") for event in profiler.events()]
        # These read a value or a size back to the host, which would wait for the device.
        assert not {"item", "_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"} & set(names)
        assert names.count("index_select") == 2
        counts.append(len(names))
    assert counts[0] == counts[1]


def test_fixed_patches_are_the_same_each_time_and_spread_over_the_images(pairs: list[ImagePair]) -> None:
    lr, hr = fixed_patches(pairs, 2, 64, 7, seed=4)
    assert lr.dtype == hr.dtype == torch.uint8
    assert lr.shape == (7, 3, 32, 32)
    assert hr.shape == (7, 3, 64, 64)
    again = fixed_patches(pairs, 2, 64, 7, seed=4)
    assert torch.equal(lr, again[0]) and torch.equal(hr, again[1])
    assert not torch.equal(hr, fixed_patches(pairs, 2, 64, 7, seed=5)[1])
    assert len({patch.numpy().tobytes() for patch in hr}) == 7
    for number, (lr_patch, hr_patch) in enumerate(zip(lr, hr, strict=True)):
        pair = pairs[number % 3]
        places = _find(lr_patch.permute(1, 2, 0).numpy(), pair.lr)
        assert any(
            np.array_equal(pair.hr[2 * top :, 2 * left :][:64, :64], hr_patch.permute(1, 2, 0).numpy())
            for top, left in places
        )


def test_fixed_patches_never_repeat_a_position() -> None:
    image = _coordinates("small", 6, 7, 2, 0)
    lr, _ = fixed_patches([image], 2, 8, 12)
    assert len({tuple(patch[:2, 0, 0].tolist()) for patch in lr}) == 12
    with pytest.raises(ValueError, match="small: 13 patches are wanted but only 12 fit"):
        fixed_patches([image], 2, 8, 13)
    with pytest.raises(ValueError, match="at least 1 patch"):
        fixed_patches([image], 2, 8, 0)


@pytest.mark.parametrize("make", [PatchSampler, lambda *args: fixed_patches(*args, count=1)])
def test_unfit_images_and_sizes_are_refused(photos: dict[str, ImagePair], make: Any) -> None:
    photo = photos["chelsea"]
    broken = ImagePair("broken", photo.lr[:-1], photo.hr)
    for images, scale, patch_size, message in (
        ([], 2, 96, "at least one image"),
        ([photo], 2, 95, "positive multiple of the scale 2, not 95"),
        ([photo], 2, 0, "positive multiple"),
        ([photo], 2, 302, "chelsea: 450x300 pixels are too few"),
        ([broken], 2, 96, "broken: HR is 450x300 pixels, not 2 times LR, 225x149"),
        ([photo], 3, 96, "not 3 times LR"),
    ):
        with pytest.raises(ValueError, match=message):
            make(images, scale, patch_size)


def test_empty_batch_is_refused(pairs: list[ImagePair]) -> None:
    with pytest.raises(ValueError, match="at least 1 patch"):
        PatchSampler(pairs, 2, 48).sample(0)
