"""The visual comparison: what is drawn where, and which detail is chosen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from hnas_nni.data import ImagePair, bicubic_upsample, load_pairs
from hnas_nni.inference.comparison import Crop, compare, largest_difference
from hnas_nni.report.comparison_picture import draw_comparison, draw_comparisons
from hnas_nni.report.palette import INK

_PHOTO = load_pairs("embedded:photos", 3, limit=1)[0]
_PAIR = ImagePair("photo", _PHOTO.lr[20:70, 20:90], _PHOTO.hr[60:210, 60:270])
_CROP = Crop(30, 45, 60, 48)


def _draw(pair: ImagePair, results: dict[str, np.ndarray], **options: Any) -> Image.Image:
    return draw_comparisons([compare(pair, results, **options)])


def _count(picture: np.ndarray, part: np.ndarray) -> int:
    """How many times a part lies in a picture, exactly."""
    height, width = part.shape[:2]
    corners = picture[: picture.shape[0] - height + 1, : picture.shape[1] - width + 1]
    ends = picture[height - 1 :, width - 1 :]
    places = np.argwhere((corners == part[0, 0]).all(axis=2) & (ends == part[-1, -1]).all(axis=2))
    return sum(np.array_equal(picture[y : y + height, x : x + width], part) for y, x in places)


def _enlarged(image: np.ndarray, times: int) -> np.ndarray:
    return image.repeat(times, axis=0).repeat(times, axis=1)


def test_every_pixel_of_a_detail_is_a_square() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, _PAIR.hr.shape, dtype=np.uint8)
    picture = np.asarray(_draw(_PAIR, {"noisy": noisy}, crop=_CROP))
    hr = _PAIR.hr[45:93, 30:90]
    assert _count(picture, _enlarged(hr, 3)) == 1
    assert _count(picture, _enlarged(noisy[45:93, 30:90], 3)) == 1
    assert _count(picture, _enlarged(bicubic_upsample(_PAIR.lr, 3)[45:93, 30:90], 3)) == 1
    # The detail lies on whole LR pixels here, each nine squares wide.
    assert _count(picture, _enlarged(_PAIR.lr[15:31, 10:30], 9)) == 1


def test_texts_say_who_is_best() -> None:
    def ink(picture: Image.Image, colour: str) -> int:
        levels = np.asarray(picture).astype(int)
        target = [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
        return int((np.abs(levels - target).sum(axis=2) < 6).sum())

    grey = ImagePair("grey", np.full((50, 70, 3), 90, np.uint8), np.full((150, 210, 3), 90, np.uint8))
    ordinary = _draw(grey, {"m": grey.hr - 9}, crop=_CROP)
    worse = _draw(grey, {"m": grey.hr - 9, "n": grey.hr - 30}, crop=_CROP)
    # One score is marked, however many models there are: that of bicubic, which is exact here.
    assert ink(ordinary, "#d55e00") == pytest.approx(ink(worse, "#d55e00"), rel=0.05)
    assert ink(worse, "#22262b") > ink(ordinary, "#22262b")


@pytest.mark.parametrize(("size", "count"), [(7, 2), (30, 4), (500, 3)])
def test_the_detail_in_which_they_differ_the_most(size: int, count: int) -> None:
    rng = np.random.default_rng(size)
    images = [rng.integers(0, 256, (31, 43, 3), dtype=np.uint8) for _ in range(count)]
    found = largest_difference(images, size)
    assert (found.width, found.height) == (min(size, 43), min(size, 31))
    variance = np.var([image.mean(axis=2) for image in images], axis=0)
    totals = {
        (x, y): variance[y : y + found.height, x : x + found.width].sum()
        for y in range(31 - found.height + 1)
        for x in range(43 - found.width + 1)
    }
    assert (found.x, found.y) == max(totals, key=totals.__getitem__)


def test_a_difference_is_found_in_place() -> None:
    changed = bicubic_upsample(_PAIR.lr, 3).copy()
    changed[100:110, 150:160] ^= 255
    found = largest_difference([bicubic_upsample(_PAIR.lr, 3), changed], 20)
    assert 140 <= found.x <= 150 and 90 <= found.y <= 100


def test_pictures_lie_below_each_other() -> None:
    wide, narrow = compare(_PAIR, {}, crop=_CROP), compare(_PAIR, {}, crop=Crop(0, 0, 8, 40))
    both = np.asarray(draw_comparisons([wide, narrow]))
    first, second = (np.asarray(draw_comparisons([comparison])) for comparison in (wide, narrow))
    height, width = second.shape[:2]
    assert first.shape[1] > width
    np.testing.assert_array_equal(both[:-height], first)
    np.testing.assert_array_equal(both[-height:, :width], second)
    assert (both[-height:, width:] == 255).all()


@pytest.mark.parametrize("crop", [Crop(200, 0, 11, 5), Crop(0, 140, 5, 11), Crop(-1, 0, 5, 5), Crop(0, 0, 0, 5)])
def test_a_detail_outside_is_refused(crop: Crop) -> None:
    with pytest.raises(ValueError, match=r"photo: crop .* does not lie within 210x150 pixels"):
        _draw(_PAIR, {}, crop=crop)


def test_results_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"m: its result has shape \(149, 210, 3\), but HR of photo has"):
        _draw(_PAIR, {"m": _PAIR.hr[:-1]})
    with pytest.raises(ValueError, match="crop size: 0 is not valid"):
        _draw(_PAIR, {}, crop_size=0)


def test_long_names_stay_within_their_panel() -> None:
    short = _draw(_PAIR, {"m": _PAIR.hr}, crop=_CROP)
    long = _draw(_PAIR, {"m" * 300: _PAIR.hr}, crop=_CROP)
    assert long.width == short.width
    assert (np.asarray(long)[:, -10:] == 255).all()


@pytest.mark.parametrize("crop", [_CROP, Crop(0, 0, 64, 6), Crop(0, 0, 6, 64)])
def test_the_best_has_a_star_and_bold_figures(crop: Crop) -> None:
    """Not colour alone: prints are grey, and eyes differ."""
    worse = bicubic_upsample(_PAIR.lr, 3) // 2
    comparison = compare(_PAIR, {"worse": worse}, crop=crop)
    best, other = (detail.score for detail in comparison.details if detail.score)
    written = {text.get_text(): text for text in draw_comparison(comparison).texts}
    marked, plain = written[f"★ {best[0]:.2f} / {best[1]:.4f}"], written[f"{other[0]:.2f} / {other[1]:.4f}"]
    assert (marked.get_weight(), marked.get_color()) == ("bold", "#d55e00")
    assert (plain.get_weight(), plain.get_color()) == ("normal", INK)


@pytest.mark.parametrize("crop", [_CROP, Crop(0, 0, 64, 6), Crop(0, 0, 6, 64)])
def test_texts_lie_within_the_picture_and_on_nothing_else(crop: Crop) -> None:
    figure = draw_comparison(compare(_PAIR, {"m" * 300: _PAIR.hr, "a model": _PAIR.hr, "日本": _PAIR.hr}, crop=crop))
    renderer = FigureCanvasAgg(figure).get_renderer()
    extents = [np.add(image.get_extent(), 0.5) for image in figure.images]
    boxes = [text.get_window_extent(renderer).extents for text in figure.texts]
    boxes += [(left, bottom, right, top) for left, right, bottom, top in extents]
    width, height = figure.bbox.size
    for left, bottom, right, top in boxes:
        assert 0 <= left < right <= width and 0 <= bottom < top <= height
    for (left, bottom, right, top), (x0, y0, x1, y1) in itertools.combinations(boxes, 2):
        assert min(right, x1) <= max(left, x0) or min(top, y1) <= max(bottom, y0)


def test_captions_are_whole_beside_low_details() -> None:
    figure = draw_comparison(compare(_PAIR, {"m": _PAIR.hr}, crop=Crop(3, 4, 64, 6)))
    written = " ".join(text.get_text() for text in figure.texts)
    assert written.startswith(
        "photo (x3) 64x6 at 3,4, enlarged 3 times; PSNR (dB) / SSIM of the image, ★ the best LR bicubic"
    )
