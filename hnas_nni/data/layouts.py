"""Finding a source's images: the embedded photographs, a plain folder, or a published benchmark's folders."""

from __future__ import annotations

import os
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from hnas_nni.data.listing import DataError, ImageFiles, images_below
from hnas_nni.data.low_resolution import smaller_copy
from hnas_nni.data.paired_folders import belongs_to_a_pair, hr_folder_of, paired_files
from hnas_nni.settings import EMBEDDED

_PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
"""Colour photographs of everyday things in the two packages; of the motorcycle's stereo pair, the left."""

VALIDATION_PHOTOS = ("astronaut", "chelsea")
"""Held out for validation; the others are for the search, the most detailed ones first."""

_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def find_images(source: str | os.PathLike[str], scale: int) -> list[ImageFiles]:
    """List the images of a source without reading them, in an order that no file system decides.

    Parameters
    ----------
    source
        ``"embedded:photos"`` or a folder; see :func:`hnas_nni.data.load_pairs` for the layouts.
    scale
        Factor between LR and HR.

    Returns
    -------
    list of ImageFiles
        At least one; sorted by name, the embedded photographs in the order of their use.

    Raises
    ------
    DataError
        If the folder or a file is missing, or the folder has no images at this scale.
    """
    if os.fspath(source) == EMBEDDED:
        return [ImageFiles(name, _photo(name)) for name in _PHOTOS]
    folder = Path(source).expanduser()
    if not folder.exists():
        raise DataError(
            f"{folder}: no such folder; give a folder of images, or {EMBEDDED!r} for the embedded photographs"
        )
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; give the folder that holds the images")
    files = paired_files(folder, scale) or _plain(folder)
    if not files:
        raise DataError(f"{folder}: no images in this folder or its subfolders")
    return sorted(files)


def _photo(name: str) -> Path:
    """Path of an embedded photograph, found without importing the package it ships in."""
    package, file = _PHOTOS[name]
    spec = find_spec(package)
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    for root in roots:
        if (root / file).is_file():
            return root / file
    where = f"has no {file} in {roots[0]}" if roots else "is not installed"
    raise DataError(
        f"embedded photograph {name!r}: {_DISTRIBUTIONS[package]} {where}; reinstall it or give a folder of images"
    )


def _plain(folder: Path) -> list[ImageFiles]:
    """Every image in the folder and its subfolders is HR."""
    if hr := hr_folder_of(folder):
        raise DataError(
            f"{folder}: by its name has the LR images of {hr}, and would be taken for HR; give {hr}, or {hr.parent}"
        )
    paths = images_below(folder)
    for path in paths:
        if belongs_to_a_pair(path, folder):
            raise DataError(
                f"{path}: by its name or place belongs to a benchmark's LR/HR pairs; give that benchmark's own folder, "
                f"or one of HR images alone, instead of {folder}"
            )
    if copy := smaller_copy(paths):
        small, large, times = copy
        raise DataError(
            f"{small}: is {large} at 1/{times} of its size, and would be taken for an HR image; give a folder of HR "
            "images alone"
        )
    stems = Counter(path.with_suffix("") for path in paths)
    files = []
    for path in paths:
        stem = path.with_suffix("")
        # a.png beside a.jpg: only the ending tells them apart.
        unique = stem if stems[stem] == 1 else path
        files.append(ImageFiles(unique.relative_to(folder).as_posix(), path))
    return files
