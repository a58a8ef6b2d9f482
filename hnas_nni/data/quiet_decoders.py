"""Keeping what decoders remark on image files off the screen: an image is read, or an error says why not."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import PIL

Given = ParamSpec("Given")
Read = TypeVar("Read")


def quiet_decoding(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """Let a function that decodes images do so without remarks of Pillow and libtiff."""

    @wraps(read)
    def quietly(*values: Given.args, **more: Given.kwargs) -> Read:
        _silence_libraries()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(*values, **more)

    return quietly


@cache
def _silence_libraries() -> None:
    """Stop libtiff, which writes to standard error by itself, and Pillow's logger where nobody has asked for it."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    package = Path(PIL.__file__).parent
    for folder in (package.parent / "pillow.libs", package / ".dylibs"):  # of Pillow's wheels for Linux and macOS
        for library in folder.glob("libtiff*"):
            libtiff = ctypes.CDLL(str(library))
            for kind in ("Error", "Warning"):
                set_handler = getattr(libtiff, f"TIFFSet{kind}Handler")
                set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                set_handler(None)
