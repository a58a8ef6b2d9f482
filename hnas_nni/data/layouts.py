"""Finding a source's images: the embedded photographs, a plain folder, or a published benchmark's folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from hnas_nni.data.images import IMAGE_SUFFIXES
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
_SELFEXSR_FILE = re.compile(r"(?P<name>.+)_SRF_(?P<scale>\d+)_(?P<kind>HR|LR)")
_SELFEXSR_FOLDER = re.compile(r"image_SRF_(?P<scale>\d+)")


class DataError(ValueError):
    """Images that cannot be used as asked; the message names the file or folder and the remedy."""


class ImageFiles(NamedTuple):
    """Where one image is; without an LR file, LR is made from HR."""

    name: str
    hr: Path
    lr: Path | None = None


def find_images(source: str | os.PathLike[str], scale: int) -> list[ImageFiles]:
    """List the images of a source without reading them, in an order that no file system decides.

    Parameters
    ----------
    source
        ``"photos"`` or a folder; see :func:`hnas_nni.data.load_pairs` for the layouts.
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
    if source == EMBEDDED:
        return [ImageFiles(name, _photo(name)) for name in _PHOTOS]
    folder = Path(source).expanduser()
    if not folder.exists():
        raise DataError(
            f"{folder}: no such folder; give a folder of images, or {EMBEDDED!r} for the embedded photographs"
        )
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; give the folder that holds the images")
    files = _selfexsr(folder, scale) or _edsr(folder, scale) or _plain(folder)
    if not files:
        raise DataError(f"{folder}: no images in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
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


def _selfexsr(folder: Path, scale: int) -> list[ImageFiles]:
    """``image_SRF_2/img_001_SRF_2_HR.png`` beside ``..._LR.png`` (Huang et al., CVPR 2015)."""
    scales = {int(match["scale"]) for child in folder.iterdir() if (match := _SELFEXSR_FOLDER.fullmatch(child.name))}
    if scales:
        if scale not in scales:
            found = ", ".join(f"x{known}" for known in sorted(scales))
            raise DataError(f"{folder}: has no image_SRF_{scale}, only {found}; ask for one of these scales")
        folder = folder / f"image_SRF_{scale}"
    images: dict[tuple[str, str], Path] = {}
    for path in _images_in(folder):
        if match := _SELFEXSR_FILE.fullmatch(path.stem):
            if int(match["scale"]) != scale:
                raise DataError(f"{path}: is for x{match['scale']}, not x{scale}; give the folder of the other scale")
            images[match["name"], match["kind"]] = path
    if scales and not images:
        raise DataError(f"{folder}: no images named <name>_SRF_{scale}_HR and <name>_SRF_{scale}_LR")
    files = []
    for name in sorted({name for name, _ in images}):
        for kind, other in (("HR", "LR"), ("LR", "HR")):
            if (name, other) not in images:
                raise DataError(
                    f"{images[name, kind]}: its {other} image {name}_SRF_{scale}_{other} is missing; "
                    "add it or remove this one"
                )
        files.append(ImageFiles(name, images[name, "HR"], images[name, "LR"]))
    return files


def _edsr(folder: Path, scale: int) -> list[ImageFiles]:
    """``HR/a.png`` with ``LR_bicubic/X2/ax2.png``, also as DIV2K names them: ``DIV2K_train_HR``, ..."""
    hr_folder = _edsr_hr_folder(folder)
    if hr_folder is None:
        return []
    lr_root = _lr_root(hr_folder)
    lr_folder = lr_root / f"X{scale}"
    if not lr_folder.is_dir():
        raise DataError(
            f"{lr_folder}: no such folder of LR images; add it, or give {hr_folder} to have LR made from HR"
        )
    lr_by_stem = {path.stem: path for path in _images_in(lr_folder)}
    files = []
    for hr in _images_in(hr_folder):
        stem = f"{hr.stem}x{scale}"
        if stem not in lr_by_stem:
            raise DataError(f"{hr}: its LR image {lr_folder / stem}{hr.suffix} is missing; add it or remove this one")
        files.append(ImageFiles(hr.stem, hr, lr_by_stem[stem]))
    if not files:
        raise DataError(f"{hr_folder}: no images in this folder")
    return files


def _edsr_hr_folder(folder: Path) -> Path | None:
    """The child ``HR`` or ``*_HR`` that has LR images beside it; the training set goes before others."""
    found = sorted(
        child
        for child in folder.iterdir()
        if child.is_dir() and (child.name == "HR" or child.name.endswith("_HR")) and _lr_root(child).is_dir()
    )
    for chosen in (found, [child for child in found if child.name.endswith("train_HR")]):
        if len(chosen) == 1:
            return chosen[0]
    if found:
        raise DataError(f"{folder}: has several sets: {', '.join(child.name for child in found)}; give one of them")
    return None


def _lr_root(hr_folder: Path) -> Path:
    return hr_folder.with_name(hr_folder.name.removesuffix("HR") + "LR_bicubic")


def _plain(folder: Path) -> list[ImageFiles]:
    """Every image in the folder and its subfolders is HR."""
    paths = []
    for root, children, _ in os.walk(folder):
        children[:] = [child for child in children if not child.startswith(".")]
        for path in _images_in(Path(root)):
            # A benchmark's LR images must not pass for HR ones.
            if _SELFEXSR_FILE.fullmatch(path.stem) or any(
                part.endswith("LR_bicubic") for part in path.relative_to(folder).parts
            ):
                raise DataError(
                    f"{path}: belongs to a benchmark's LR/HR folders, not to a plain folder of HR images; "
                    f"give that benchmark's folder instead of {folder}"
                )
            paths.append(path)
    stems = Counter(path.with_suffix("") for path in paths)
    files = []
    for path in paths:
        stem = path.with_suffix("")
        # a.png beside a.jpg: only the ending tells them apart.
        unique = stem if stems[stem] == 1 else path
        files.append(ImageFiles(unique.relative_to(folder).as_posix(), path))
    return files


def _images_in(folder: Path) -> list[Path]:
    """Image files directly in a folder, without hidden ones, sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
