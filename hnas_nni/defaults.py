"""Defaults that the help of a command shows, and that functions have too; their own modules take long to load."""

from __future__ import annotations

JPEG_QUALITY = 95
"""Of JPEG and WebP files."""

MAX_MEGAPIXELS = 250
"""The largest picture that is accepted: a small file can hold one that fills the memory."""

CROP_SIZE = 64
"""Side of the detail that is looked for in a comparison, in HR pixels."""
