"""Writing a picture that is there as a whole."""

from __future__ import annotations

import os

from hnas_nni.pictures.picture import Picture, PictureRows
from hnas_nni.pictures.writing import write_rows
from hnas_nni.settings import JPEG_QUALITY


def write_picture(
    picture: Picture, path: str | os.PathLike[str], format: str, quality: int = JPEG_QUALITY, *, band: int | None = None
) -> None:
    """Write a picture file, in bands of so many rows, or in one."""
    channels = picture.channels
    step = band or len(channels)
    bands = [channels[top : top + step] for top in range(0, len(channels), step)]
    write_rows(PictureRows(channels.shape, channels.dtype, bands, picture), path, format, quality)
