"""Small archives of images, as tests of downloads need them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image


def png(seed: int, size: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zip_of(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for path, content in members.items():
            file.writestr(path, content)
    return buffer.getvalue()


def tgz_of(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for path, content in members.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


IMAGES = {f"top/images/{seed}.png": png(seed) for seed in range(3)}
ARCHIVE = zip_of({"top/README": b"not taken", **IMAGES})
