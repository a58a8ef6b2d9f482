"""Folders that hold HR and LR images, as benchmarks and toolboxes lay them out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hnas_nni.data.listing import DataError, ImageFiles, files_in, images_below, name_left_out
from hnas_nni.data.opening import is_image

_SELFEXSR_FILE = re.compile(r"(?P<name>.+)_SRF_(?P<scale>\d+)_(?P<kind>HR|LR)")
_SELFEXSR_FOLDER = re.compile(r"image_SRF_(?P<scale>\d+)")

_HR_FOLDER = re.compile(r"(?P<set>(?:.*[_-])?)(?P<kind>HR|GT|GTmod\d+)", re.IGNORECASE)
"""``HR``, ``DIV2K_train_HR``, ``GT``, ``GTmod12``."""

_LR_FOLDER = re.compile(
    r"(?P<set>(?:.*[_-])?)(?:LR|LQ)(?P<how>[_-]?bic(?:ubic)?)?(?:[_-]?x(?P<scale>\d+))?", re.IGNORECASE
)
"""``LR``, ``LR_bicubic``, ``LRbicx2``, ``DIV2K_train_LR_bicubic``, ``LQ``, ``LR_x4``."""

_ANY_LR_FOLDER = re.compile(
    r"(?:.*[_-])?(?:LR|LQ)(?:[_-]?(?:bic|unknown|mild|difficult|wild|sub|x\d).*)?", re.IGNORECASE
)
"""These and what else holds LR images: ``DIV2K_train_LR_unknown``, ``LR_mild``, ``LR_bicubic_sub``."""

_SCALE_FOLDER = re.compile(r"x?(?P<scale>\d+)", re.IGNORECASE)


def paired_files(folder: Path, scale: int) -> list[ImageFiles]:
    """List the HR and LR images of a folder in one of the layouts, in no order; none if it is in none of them.

    Raises
    ------
    DataError
        If it is, and has nothing at that scale, several sets, or an incomplete pair.
    """
    return _selfexsr(folder, scale) or _hr_beside_lr(folder, scale)


def belongs_to_a_pair(path: Path, folder: Path) -> bool:
    """Whether a file in a folder or its subfolders is called, or lies, as LR images and their HR images are."""
    inside = path.relative_to(folder).parts[:-1]
    return bool(_SELFEXSR_FILE.fullmatch(path.stem)) or any(map(_ANY_LR_FOLDER.fullmatch, inside))


def hr_folder_of(folder: Path) -> Path | None:
    """Return the folder of HR images that a folder has the LR images of, by their names; None if it has none."""
    folder = folder.resolve()
    inner = _SCALE_FOLDER.fullmatch(folder.name) is not None
    lr_folder = folder.parent if inner and _ANY_LR_FOLDER.fullmatch(folder.parent.name) else folder
    if _ANY_LR_FOLDER.fullmatch(lr_folder.name) is None:
        return None
    return next((child for child in _folders_in(lr_folder.parent) if _HR_FOLDER.fullmatch(child.name)), None)


def _selfexsr(folder: Path, scale: int) -> list[ImageFiles]:
    """``image_SRF_2/img_001_SRF_2_HR.png`` beside ``..._LR.png`` (Huang et al., CVPR 2015)."""
    scales = {int(match["scale"]) for child in folder.iterdir() if (match := _SELFEXSR_FOLDER.fullmatch(child.name))}
    if scales:
        if scale not in scales:
            raise DataError(f"{folder}: has no image_SRF_{scale}, only {_listed(scales)}; ask for one of these scales")
        folder = folder / f"image_SRF_{scale}"
    images: dict[tuple[str, str], Path] = {}
    others = []
    for path in files_in(folder):
        if (match := _SELFEXSR_FILE.fullmatch(path.stem)) and is_image(path):
            if int(match["scale"]) != scale:
                raise DataError(f"{path}: is for x{match['scale']}, not x{scale}; give the folder of the other scale")
            images[match["name"], match["kind"]] = path
        else:
            others.append(path)
    if images:
        name_left_out(folder, others)
    elif scales:
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


def _hr_beside_lr(folder: Path, scale: int) -> list[ImageFiles]:
    """A folder of HR images beside folders of LR ones.

    EDSR's ``HR/a.png`` with ``LR_bicubic/X2/ax2.png``, DIV2K's ``DIV2K_train_HR`` with ``DIV2K_train_LR_bicubic``,
    BasicSR's ``GTmod12/a.png`` with ``LRbicx2/a.png``, and ``HR/a.png`` with ``LR/a.png``.
    """
    sets = {child: lr for child in _folders_in(folder) if (lr := _lr_folders(child))}
    hr_folder = _chosen(folder, list(sets))
    if hr_folder is None:
        return []
    by_scale = sets[hr_folder]
    lr_folder = by_scale.get(scale, by_scale.get(None))
    if lr_folder is None:
        known = _listed({known for known in by_scale if known is not None})
        raise DataError(
            f"{folder}: no such folder of LR images at x{scale}, only {known}; add it, or give {hr_folder} to have LR "
            "made from HR"
        )
    lr_images = {path.relative_to(lr_folder).with_suffix("").as_posix(): path for path in images_below(lr_folder)}
    hr_images = {path.relative_to(hr_folder).with_suffix("").as_posix(): path for path in images_below(hr_folder)}
    if not hr_images:
        raise DataError(f"{hr_folder}: no images in this folder")
    # The same name, or with the scale: as most of the images have it.
    endings = (f"x{scale}", f"_x{scale}", "")
    ending = max(endings, key=lambda ending: sum(name + ending in lr_images for name in hr_images))
    files = []
    for name, hr in hr_images.items():
        if name + ending not in lr_images:
            missing = lr_folder / f"{name}{ending}{hr.suffix}"
            raise DataError(f"{hr}: its LR image {missing} is missing; add it or remove this one")
        files.append(ImageFiles(name, hr, lr_images[name + ending]))
    return files


def _chosen(folder: Path, hr_folders: list[Path]) -> Path | None:
    """The one HR folder that is meant: of several the training set, or the one that is cut as its LR images ask for."""
    trained_on = [child for child in hr_folders if child.name.endswith("train_HR")]
    cut = [child for child in hr_folders if "mod" in child.name.lower()]
    for choice in (hr_folders, trained_on, cut):
        if len(choice) == 1:
            return choice[0]
    if hr_folders:
        names = ", ".join(child.name for child in hr_folders)
        raise DataError(f"{folder}: has several sets: {names}; give one of them")
    return None


def _lr_folders(hr_folder: Path) -> dict[int | None, Path]:
    """The folders of LR images that belong to a folder, by their scale, None where only the images tell it.

    Bicubic ones go before those that do not say how they were made.
    """
    hr = _HR_FOLDER.fullmatch(hr_folder.name)
    if hr is None:
        return {}
    found: dict[int | None, Path] = {}
    beside = [
        (child, lr)
        for child in _folders_in(hr_folder.parent)
        if (lr := _LR_FOLDER.fullmatch(child.name)) and lr["set"].lower() == hr["set"].lower()
    ]
    for child, lr in sorted(beside, key=lambda pair: pair[1]["how"] is None):
        below = [(match, inner) for inner in _folders_in(child) if (match := _SCALE_FOLDER.fullmatch(inner.name))]
        for match, place in below or [(lr, child)]:
            found.setdefault(int(match["scale"]) if match["scale"] else None, place)
    return found


def _folders_in(folder: Path) -> Iterator[Path]:
    return (child for child in sorted(folder.iterdir()) if child.is_dir() and not child.name.startswith("."))


def _listed(scales: set[int]) -> str:
    return ", ".join(f"x{scale}" for scale in sorted(scales))
