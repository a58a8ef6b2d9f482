"""Transparent parts: the colours beneath them do not show at their edges, as in Pillow's own resizing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lively_networks import lively_network
from PIL import Image

from hnas_nni import HNAS_A, upscale
from hnas_nni.data import bicubic_upsample, load_pairs
from hnas_nni.inference import Bicubic, NetworkModel
from hnas_nni.inference.upscaling import upscale_picture, upscale_rows
from hnas_nni.network.base import SuperResolutionNetwork
from hnas_nni.pictures.picture import Picture, split_channels

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:48, :60]
_ROWS, _COLUMNS = np.mgrid[:48, :60]
_DISTANCE = np.hypot(_ROWS - 23.5, _COLUMNS - 29.5)


def _disc(colour: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """An opaque disc on transparent black."""
    return Image.fromarray(np.where(_DISTANCE[..., None] < 18, (*colour, 255), 0).astype(np.uint8))


def _soft() -> np.ndarray:
    """A photograph that fades out, and is black where nothing of it is left."""
    alpha = (255 * np.clip(1.5 - _DISTANCE / 18, 0, 1)).round().astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] > 0, _PHOTO, 0), alpha])


def _on(background: str, image: Image.Image) -> np.ndarray:
    shown = Image.alpha_composite(Image.new("RGBA", image.size, background), image.convert("RGBA"))
    return np.asarray(shown.convert("RGB")).astype(int)


def _by_pillow(image: Image.Image, scale: int) -> Image.Image:
    """Pillow's bicubic, which multiplies by opacity too; turned, as it cuts to 0..255 between columns and rows."""
    turned = image.transpose(Image.Transpose.TRANSPOSE)
    resized = turned.resize((scale * turned.width, scale * turned.height), Image.Resampling.BICUBIC)
    return resized.transpose(Image.Transpose.TRANSPOSE)


@pytest.fixture(scope="module")
def network() -> SuperResolutionNetwork:
    return lively_network(replace(HNAS_A, position=2), 2, 2)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_a_white_disc_has_no_dark_fringe(mode: str, scale: int) -> None:
    image = _disc()
    if mode == "P":
        image = image.getchannel("A").point(lambda level: level // 255).convert("P")
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.info["transparency"] = 0
    elif mode == "PA":
        image = image.convert("PA")
    else:
        image = image.convert(mode)
    result = upscale(image, "bicubic", scale=scale)
    assert result.mode == ("LA" if mode == "LA" else "RGBA")
    assert _on("white", result).min() == 255
    assert np.abs(_on("black", result) - _on("black", _by_pillow(_disc(), scale))).max() <= 1


@pytest.mark.parametrize("background", ["white", "black", "green"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_fading_photograph_is_that_of_pillow(mode: str, background: str) -> None:
    image = Image.fromarray(_soft()).convert(mode)
    ours, pillows = upscale(image, "bicubic", scale=2), _by_pillow(image, 2)
    difference = _on(background, ours) - _on(background, pillows)  # which multiplies with 8 bits
    assert np.abs(difference).max() <= 4 and np.abs(difference).mean() < 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_one_colour_stays_that_colour(dtype: type) -> None:
    peak = 1 if dtype == np.float32 else np.iinfo(dtype).max
    channels = (np.asarray(_disc((200, 100, 50))) / 255 * peak).astype(dtype)
    result = upscale(channels, "bicubic", scale=3)
    colours, alpha = split_channels(result)
    visible = alpha[..., 0] > 0
    expected = channels[24, 30, :3].astype(float)
    assert np.abs(colours[visible] - expected).max() <= (1e-3 if dtype == np.float32 else 1)
    assert (colours[~visible] == 0).all()


def test_opaque_parts_are_to_the_bit_as_without_opacity(network: SuperResolutionNetwork) -> None:
    opaque = np.dstack([_PHOTO, np.full((48, 60), 255, np.uint8)])
    for model in ("bicubic", network):
        np.testing.assert_array_equal(upscale(opaque, model, scale=2)[..., :3], upscale(_PHOTO, model, scale=2))
    inside = np.dstack([_PHOTO, np.where(_COLUMNS < 10, 0, 255)]).astype(np.uint8)
    found = upscale(inside, "bicubic", scale=2)
    np.testing.assert_array_equal(found[:, 2 * 14 :, :3], bicubic_upsample(_PHOTO, 2)[:, 2 * 14 :])
    np.testing.assert_array_equal(found[..., 3:], bicubic_upsample(inside[..., 3:], 2))


def test_a_network_sees_nothing_of_what_is_hidden(network: SuperResolutionNetwork) -> None:
    white = upscale(Image.new("RGB", (60, 48), "white"), network)
    disc = upscale(_disc(), network)
    visible = np.asarray(disc)[..., 3] > 0
    np.testing.assert_array_equal(np.asarray(disc)[visible, :3], np.asarray(white)[visible])
    # The nearest visible colour, wherever there is one: of two halves each its own.
    halves = np.where((_COLUMNS < 30)[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    alpha = np.where((_COLUMNS < 20) | (_COLUMNS >= 40), 255, 0).astype(np.uint8)
    hidden = np.dstack([np.where(alpha[..., None] > 0, halves, 0), alpha]).astype(np.uint8)
    found = upscale(hidden, network)
    visible = found[..., 3] > 0
    np.testing.assert_array_equal(found[visible, :3], upscale(halves, network)[visible])


def test_all_hidden_is_all_hidden(network: SuperResolutionNetwork) -> None:
    for model in ("bicubic", network):
        assert not upscale(np.zeros((9, 7, 4), np.uint8), model, scale=2).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_and_rows_give_the_same(network: SuperResolutionNetwork, dtype: type) -> None:
    picture = Picture(*split_channels(_soft().astype(dtype) * (257 if dtype == np.uint16 else 1)))
    local = lively_network(replace(HNAS_A, position=2), 2, 2)
    for model in (Bicubic(2), NetworkModel(local)):
        whole = upscale_picture(picture, model, None).channels.astype(int)
        rows = np.concatenate(list(upscale_rows(picture, model, 11).bands))
        assert np.abs(rows.astype(int) - whole).max() <= 1  # a rounding
