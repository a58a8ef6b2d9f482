"""Reading an image file of any kind as 8-bit RGB."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hnas_nni.data.opening import ImageError, open_image
from hnas_nni.data.quiet_decoders import quiet_decoding
from hnas_nni.data.resize import ImageArray

_LARGEST_16_BIT = 65535


@quiet_decoding
def read_image(path: str | os.PathLike[str]) -> ImageArray:
    """Read an image as viewers show it.

    Grey becomes three equal channels. Transparent parts are shown on white. 16-bit grey is scaled to 8 bit
    with rounding (65535 becomes 255); of 16-bit colour the decoder keeps the upper 8 bits. CMYK and palettes
    become RGB, the EXIF orientation is applied, and of several frames the first is taken.

    Parameters
    ----------
    path
        The file, of any format that Pillow decodes; HEIC where the package pi-heif is installed.

    Returns
    -------
    numpy.ndarray
        uint8, (h, w, 3).

    Raises
    ------
    ImageError
        If the file is missing, cut short or no image, is larger than Pillow accepts, or holds 32-bit numbers,
        whose range no file states.
    """
    path = Path(path)
    try:
        with open_image(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith(("I", "F")):
                image = _from_wide_grey(image)
            elif image.has_transparency_data:
                shown = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
            return np.array(image.convert("RGB"))
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image that Pillow knows") from error
    except Exception as error:  # Decoders raise OSError, SyntaxError, ValueError, struct.error and more.
        raise ImageError(f"{path}: cannot be read as an image: {error}") from error


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits to 8 bits; Pillow's own conversion clips it at 255."""
    levels = np.asarray(image)
    if image.mode.startswith("F") or levels.min() < 0 or levels.max() > _LARGEST_16_BIT:
        raise ImageError("32-bit grey levels have no stated range; save the image with 8 or 16 bits")
    return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))
