"""Tiles, self-ensemble, bicubic: large images come out as in one piece."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hnas_nni.data import bicubic_upsample, load_pairs
from hnas_nni.inference import Bicubic, NetworkModel, enlarge, self_ensemble, tile_size
from hnas_nni.inference.models import Pixels
from hnas_nni.inference.tiling import largest_tile, tiles
from hnas_nni.network.network import HNASNetwork

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:90, :75]
_FLOAT_PHOTO = (_PHOTO / 255).astype(np.float32)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(0, 20))
def test_tiles_cover_every_pixel_once_and_see_their_surroundings(h: int, w: int, size: int, overlap: int) -> None:
    computed = np.zeros((h, w), int)
    for rows, columns in tiles(h, w, size, overlap):
        computed[rows.start : rows.stop, columns.start : columns.stop] += 1
        for span, length in ((rows, h), (columns, w)):
            assert 0 < span.stop - span.start <= size
            assert span.seen_from == max(0, span.start - overlap)
            assert span.seen_to == min(length, span.stop + overlap)
    assert (computed == 1).all()


@given(st.integers(0, 10**6), st.integers(0, 50))
def test_the_largest_tile_fits(pixels: int, overlap: int) -> None:
    size = largest_tile(pixels, overlap)
    if size:
        assert (size + 2 * overlap) ** 2 <= pixels
    assert (size + 1 + 2 * overlap) ** 2 > pixels


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", [False, True])
def test_tiles_leave_no_seam(local_network: HNASNetwork, ensemble: bool) -> None:
    model = NetworkModel(local_network, ensemble=ensemble)
    whole = enlarge(_FLOAT_PHOTO, model, None)
    assert whole.std() > 0.01
    np.testing.assert_allclose(enlarge(_FLOAT_PHOTO, model, 32), whole, atol=2e-6)
    # The overlap is needed: with a third of it, seams show.
    model.overlap //= 3
    assert np.abs(enlarge(_FLOAT_PHOTO, model, 32) - whole).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_tiles_of_random_networks(
    random_local_network: Callable[[int, int], HNASNetwork], scale: int, seed: int
) -> None:
    model = NetworkModel(random_local_network(scale, seed))
    image = _FLOAT_PHOTO[:50, :41]
    np.testing.assert_allclose(enlarge(image, model, 13), enlarge(image, model, None), atol=2e-6)


def test_with_channel_attention_tiles_differ_within_bounds(attention_network: HNASNetwork) -> None:
    model = NetworkModel(attention_network)
    whole = enlarge(_FLOAT_PHOTO, model, None)
    difference = np.abs(enlarge(_FLOAT_PHOTO, model, 32) - whole)
    assert difference.max() > 1e-6  # tiles are images of their own to the attention
    assert np.sqrt((difference**2).mean()) < 0.1 * whole.std()


def test_self_ensemble_is_the_mean_of_eight(local_network: HNASNetwork) -> None:
    with torch.inference_mode():
        image = torch.from_numpy(_FLOAT_PHOTO[:20, :33].transpose(2, 0, 1).copy())[None]
        results = []
        for mirrored in (image, image.transpose(2, 3)):
            for rows in ([], [2]):
                for columns in ([], [3]):
                    result = local_network(mirrored.flip(rows + columns)).flip(rows + columns)
                    results.append(result if mirrored is image else result.transpose(2, 3))
        torch.testing.assert_close(self_ensemble(local_network, image), torch.stack(results).mean(0))
        # So it no longer depends on how the image lies.
        turned = self_ensemble(local_network, image.rot90(1, (2, 3))).rot90(-1, (2, 3))
        torch.testing.assert_close(turned, self_ensemble(local_network, image))


def test_types_and_grey(local_network: HNASNetwork) -> None:
    model = NetworkModel(local_network)
    exact = enlarge(_FLOAT_PHOTO, model)
    assert np.abs(enlarge(_PHOTO, model) / 255 - exact).max() <= 0.5 / 255 + 1e-6
    sixteen = enlarge(_PHOTO.astype(np.uint16) * 257, model)
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 65535 - exact).max() <= 0.5 / 65535 + 1e-6
    grey = _FLOAT_PHOTO[..., :1]
    colour = enlarge(np.repeat(grey, 3, axis=2), model).astype(np.float64)
    expected = colour @ (0.299, 0.587, 0.114)
    # Of colours beyond 0..1 the grey is taken before they are cut.
    inside = ((colour > 0) & (colour < 1)).all(axis=2)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(enlarge(grey, model)[..., 0][inside], expected[inside], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic(scale: int) -> None:
    model = Bicubic(scale)
    expected = bicubic_upsample(_PHOTO, scale)
    np.testing.assert_array_equal(enlarge(_PHOTO, model), expected)
    np.testing.assert_array_equal(enlarge(_PHOTO, model, 17), expected)
    # The exact one rounds and cuts to 0..255 after rows and after columns; the others only at the end.
    muted = _PHOTO // 2 + 64
    expected = bicubic_upsample(muted, scale)
    for image in ((muted / 255).astype(np.float32), muted.astype(np.uint16) * 257):
        peak: float = 1 if image.dtype == np.float32 else 65535
        result = enlarge(image, model)
        assert result.dtype == image.dtype
        assert np.abs(result / peak * 255 - expected).max() < 1.7
        assert abs((result / peak * 255 - expected).mean()) < 0.01
        np.testing.assert_allclose(enlarge(image, model, 17), result, atol=1e-6 * peak)


def test_bicubic_of_a_turned_image_is_turned() -> None:
    image = Image.fromarray(_PHOTO)
    turned = np.asarray(image.transpose(Image.Transpose.ROTATE_180)).astype(np.uint16) * 257
    np.testing.assert_array_equal(
        enlarge(turned, Bicubic(3))[::-1, ::-1], enlarge(_PHOTO.astype(np.uint16) * 257, Bicubic(3))
    )


def test_automatic_tiles_keep_to_the_memory(local_network: HNASNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    model = NetworkModel(local_network)
    assert tile_size(100, 80, model) == 100
    size = tile_size(20_000, 5_000, model)
    pixel = 2**30 / model.pixels_within(2**30)
    assert 0.9 * 2**30 < (size + 2 * model.overlap) ** 2 * pixel <= 2**30
    monkeypatch.setattr("hnas_nni.inference.enlarging.memory_budget", lambda model: 2**28)
    smaller = tile_size(20_000, 5_000, model)
    assert 0.9 * 2**28 < (smaller + 2 * model.overlap) ** 2 * pixel <= 2**28


def test_attention_is_given_the_whole_image_where_it_fits(
    attention_network: HNASNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = NetworkModel(attention_network)
    monkeypatch.setattr("hnas_nni.inference.enlarging.memory_budget", lambda model: 2**33)
    pixels = model.pixels_within(2**32)
    side = int(pixels**0.5)
    assert tile_size(side, side, model) == side
    monkeypatch.setattr("hnas_nni.inference.enlarging.memory_budget", lambda model: 2**31)
    assert tile_size(side, side, model) < side


@pytest.mark.parametrize("tile", [0, -3, "foo", 2.5])
def test_a_tile_of_nothing_is_refused(local_network: HNASNetwork, tile: int) -> None:
    with pytest.raises(ValueError, match=f"tile: {tile!r} is not valid; give at least 1"):
        enlarge(_PHOTO, NetworkModel(local_network), tile)


def test_too_little_memory_is_said_in_words(local_network: HNASNetwork) -> None:
    (pages, *_) = Path("/proc/self/statm").read_text().split()
    before = resource.getrlimit(resource.RLIMIT_AS)
    image = np.zeros((3000, 3000, 3), np.uint8)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (int(pages) * resource.getpagesize() + 2**29, before[1]))
        with pytest.raises(ValueError, match=r"memory of the cpu does not suffice for 3000x3000 .* give --tile 1500"):
            enlarge(image, NetworkModel(local_network), None)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_progress_adds_up(local_network: HNASNetwork) -> None:
    done: list[int] = []
    enlarge(_PHOTO, NetworkModel(local_network), 40, advance=done.append)
    assert len(done) == 6
    assert sum(done) == 90 * 75


def test_an_image_of_one_pixel(local_network: HNASNetwork) -> None:
    image: Pixels = _PHOTO[:1, :1]
    assert enlarge(image, NetworkModel(local_network, ensemble=True)).shape == (2, 2, 3)
    assert enlarge(image, Bicubic(2)).shape == (2, 2, 3)
