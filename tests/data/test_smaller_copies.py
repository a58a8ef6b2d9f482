"""Smaller copies of training images, held against an area average and against the papers' degradation."""

from __future__ import annotations

import numpy as np

from hnas_nni.data import ImagePair, bicubic_downsample, load_pairs, with_smaller_copies


def test_copies_show_the_same_picture_at_the_stated_sizes() -> None:
    (photo,) = load_pairs("embedded:photos", 2, limit=1)
    assert photo.hr.shape == (512, 512, 3)
    original, *copies = with_smaller_copies([photo], 2, 48)
    assert original is photo
    assert [(copy.name, copy.hr.shape) for copy in copies] == [
        ("astronaut x 0.7", (358, 358, 3)),
        ("astronaut x 0.5", (256, 256, 3)),
    ]
    halved = photo.hr.reshape(256, 2, 256, 2, 3).mean((1, 3))
    # Bicubic is a little sharper than the mean of each four pixels, and lies nowhere else.
    assert np.abs(copies[1].hr - halved).mean() < 2
    for copy in copies:
        assert np.array_equal(copy.lr, bicubic_downsample(copy.hr, 2))


def test_copies_too_small_for_a_patch_are_left_out_and_sizes_fit_the_scale() -> None:
    hr = np.zeros((93, 120, 3), np.uint8)
    pairs = [ImagePair("plain", bicubic_downsample(hr, 3), hr)]
    assert [pair.hr.shape[:2] for pair in with_smaller_copies(pairs, 3, 48)] == [(93, 120), (63, 84)]
    assert with_smaller_copies(pairs, 3, 64) == pairs
