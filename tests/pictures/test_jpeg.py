"""JPEG files that are written while their rows come, against Pillow's of the whole picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from picture_writer import write_picture
from PIL import Image, ImageCms

from hnas_nni.data import load_pairs
from hnas_nni.pictures.picture import Picture
from hnas_nni.pictures.reading import read_picture

_PHOTO = np.tile(load_pairs("embedded:photos", 2, limit=1)[0].hr[:150, :101], (2, 1, 1))
_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _by_pillow(pixels: np.ndarray, quality: int) -> np.ndarray:
    data = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(
        data, "JPEG", quality=quality, subsampling=0
    )
    return np.asarray(Image.open(data))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [1, 7, 8, 63, 64, 65, 128, 130, 300])
@pytest.mark.parametrize("quality", [1, 95, 100])
def test_pixels_are_those_of_a_file_written_at_once(tmp_path: Path, channels: int, height: int, quality: int) -> None:
    pixels = _PHOTO[:height, :, :channels]
    write_picture(Picture(pixels), tmp_path / "it.jpg", "JPEG", quality)
    with Image.open(tmp_path / "it.jpg") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (101, height), "L" if channels == 1 else "RGB")
        np.testing.assert_array_equal(np.asarray(image), _by_pillow(pixels, quality))


@pytest.mark.parametrize("band", [1, 50, 64, 299])
def test_bands_may_have_any_height(tmp_path: Path, band: int) -> None:
    write_picture(Picture(_PHOTO), tmp_path / "it.jpg", "JPEG", 80, band=band)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "it.jpg")), _by_pillow(_PHOTO, 80))


def test_what_belongs_to_the_picture_stands_in_front_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "maker"
    picture = Picture(_PHOTO, None, _PROFILE, exif.tobytes(), "", 1, b"<x/>", (300, 300))
    write_picture(picture, tmp_path / "it.jpg", "JPEG")
    found = read_picture(tmp_path / "it.jpg")
    assert (found.icc_profile, found.xmp, found.dpi) == (_PROFILE, b"<x/>", (300, 300))
    data = (tmp_path / "it.jpg").read_bytes()
    assert [data.count(word) for word in (b"maker", b"<x/>", b"ICC_PROFILE", b"\xff\xd8\xff", b"\xff\xd9")] == [1] * 5


def test_files_are_as_small_as_pillows(tmp_path: Path) -> None:
    write_picture(Picture(_PHOTO), tmp_path / "ours.jpg", "JPEG", 90)
    Image.fromarray(_PHOTO).save(tmp_path / "pillow.jpg", quality=90, subsampling=0)
    assert (tmp_path / "ours.jpg").stat().st_size < 1.02 * (tmp_path / "pillow.jpg").stat().st_size
