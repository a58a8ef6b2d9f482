"""The three lists of images that a search needs: for the weights, for the controller, for validation."""

from __future__ import annotations

import hashlib
import logging
import os
import random
from collections.abc import Collection, Sequence
from typing import NamedTuple

from hnas_nni.data.layouts import VALIDATION_PHOTOS, find_images
from hnas_nni.data.listing import DataError, ImageFiles
from hnas_nni.data.opening import open_image
from hnas_nni.data.quiet_decoders import quiet_decoding
from hnas_nni.data.resize import ImageArray
from hnas_nni.data.sources import ImagePair, UnusableImageError, check_scale, load_files
from hnas_nni.settings import EMBEDDED

_LOGGER = logging.getLogger(__name__)
_WEIGHT_SHARE = 0.4
_VALIDATION_SHARE = 0.1


class Splits(NamedTuple):
    """Three lists of images, no image in two of them."""

    weight: list[ImagePair]
    """Trains the weights of the networks."""
    controller: list[ImagePair]
    """Gives the PSNR that rewards the controller."""
    validation: list[ImagePair]
    """Chooses among finished architectures."""

    @property
    def search(self) -> list[ImagePair]:
        """What is not held out: separate trainings learn from all of it, and are measured on the validation images."""
        return [*self.weight, *self.controller]

    def digest(self) -> str:
        """Return a text that is another one when an image changes, comes or goes."""
        found = hashlib.blake2b(digest_size=16)
        for pair in (pair for pairs in self for pair in pairs):
            for image in (pair.lr, pair.hr):
                found.update(repr((pair.name, image.shape)).encode())
                found.update(image.tobytes())
        return found.hexdigest()


Source = str | os.PathLike[str]


def load_splits(
    data: Source | Sequence[Source] = EMBEDDED,
    scale: int = 2,
    *,
    validation: str | os.PathLike[str] | None = None,
    patch_size: int = 96,
    seed: int = 0,
    limit: int | None = None,
    strict: bool = False,
) -> Splits:
    """Load images and divide them into weight, controller and validation split (paper, Algorithm 1).

    The images of a folder are shuffled by the seed; the order does not depend on the file system. Without a
    validation folder a tenth of them, at least one, is held out first. The first two fifths of the
    rest are the weight split, the others the controller split. A copy of an image that is already in another
    split is left out with a warning.

    The embedded photographs have fixed lists: astronaut and chelsea for validation, and for the search
    motorcycle, china, coffee, flower, rocket, of which the first two are the weight split;
    the seed has no say.

    Parameters
    ----------
    data
        Images for the search: ``"embedded:photos"`` or a folder, as for :func:`hnas_nni.data.load_pairs`, or several of
        them.
    scale
        Factor between LR and HR.
    validation
        Another such source for validation, for example Set5; by default a part of `data`.
    patch_size
        Least width and height of a search image in HR pixels; smaller ones are left out with a warning.
    seed
        Decides the shuffle.
    limit
        Take at most so many images into each of the three lists.
    strict
        Refuse images that can't be used, as :func:`hnas_nni.data.load_pairs` does, instead of leaving them out.

    Returns
    -------
    Splits
        Three lists, none empty.

    Raises
    ------
    DataError
        If there are fewer than 3 images (2 with a validation source), an image of the validation source is
        also in `data`, or the images cannot be used (see :func:`hnas_nni.data.load_pairs`).
    """
    check_scale(scale)
    sources = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    data = ", ".join(map(str, sources))
    search, held_out = _search_files(sources, scale, seed, patch_size, strict, hold_out=validation is None)
    if validation is not None:
        held_out = find_images(validation, scale)
        _refuse_common_files(search, held_out)
    if len(search) < 2:
        needed = "3 images" if validation is None else "2 images beside a validation set"
        raise DataError(f"{data}: too few images to split; at least {needed} are needed")

    weight_count = min(max(1, round(_WEIGHT_SHARE * len(search))), len(search) - 1)
    lists: dict[str, tuple[Sequence[ImageFiles], int | None]] = {
        "validation": (held_out, None),
        "weight": (search[:weight_count], patch_size),
        "controller": (search[weight_count:], patch_size),
    }
    loaded = {}
    for name, (files, minimum_size) in lists.items():
        try:
            loaded[name] = load_files(files, scale, minimum_size=minimum_size, limit=limit, strict=strict)
        except UnusableImageError:
            raise
        except DataError as error:
            raise DataError(f"{error} ({name} split)") from None
    validation_pairs, weight, controller = (loaded[name] for name in lists)

    seen = {_fingerprint(pair.lr): pair.name for pair in validation_pairs}
    if validation is not None:
        _refuse_copies([*weight, *controller], seen, data, validation)
    weight = _without_copies(weight, seen)
    seen.update((_fingerprint(pair.lr), pair.name) for pair in weight)
    controller = _without_copies(controller, seen)
    for name, pairs in (("weight", weight), ("controller", controller)):
        if not pairs:
            raise DataError(f"{data}: no image is left for the {name} split, all are copies; give more images")
    return Splits(weight, controller, validation_pairs)


def _search_files(
    sources: Sequence[Source], scale: int, seed: int, patch_size: int, strict: bool, *, hold_out: bool
) -> tuple[list[ImageFiles], list[ImageFiles]]:
    """The search's files in the order of the splits, and those held out of them for validation.

    What is seen to be of no use is left out before the files are divided, unless it shall be refused when it is read.
    """
    files = [file for source in sources for file in find_images(source, scale)]
    if sources == [EMBEDDED]:
        return (
            [file for file in files if file.name not in VALIDATION_PHOTOS],
            [file for file in files if file.name in VALIDATION_PHOTOS],
        )
    if not strict:
        files = [file for file in files if not _is_useless(file, patch_size)]
    random.Random(seed).shuffle(files)
    held_out = max(1, round(_VALIDATION_SHARE * len(files))) if hold_out else 0
    return files[held_out:], files[:held_out]


@quiet_decoding
def _is_useless(file: ImageFiles, minimum_size: int) -> bool:
    """Look at an image's header only."""
    try:
        with open_image(file.hr) as image:
            useless = min(image.size) < minimum_size
            reason = f"{image.width}x{image.height} pixels are too few; at least {minimum_size} are needed"
    except Exception as error:  # as for hnas_nni.data.read_image
        useless, reason = True, str(error)
    if useless:
        _LOGGER.warning("left out %s: %s", file.hr, reason)
    return useless


def _refuse_common_files(search: Collection[ImageFiles], validation: Collection[ImageFiles]) -> None:
    used = {file.hr.resolve() for file in search}
    for file in validation:
        if file.hr.resolve() in used:
            raise DataError(f"{file.hr}: is in the search's images and in the validation set; give separate folders")


def _refuse_copies(
    pairs: list[ImagePair],
    validation_names: dict[tuple[object, ...], str],
    data: str | os.PathLike[str],
    validation: str | os.PathLike[str],
) -> None:
    for pair in pairs:
        if name := validation_names.get(_fingerprint(pair.lr)):
            raise DataError(
                f"{pair.name} in {data} is the same image as {name} in the validation set {validation}; remove one"
            )


def _without_copies(pairs: list[ImagePair], seen: dict[tuple[object, ...], str]) -> list[ImagePair]:
    """The pairs whose image is in no earlier split."""
    kept = []
    for pair in pairs:
        if name := seen.get(_fingerprint(pair.lr)):
            _LOGGER.warning("left out %s: the same image as %s, which is in another split", pair.name, name)
        else:
            kept.append(pair)
    return kept


def _fingerprint(image: ImageArray) -> tuple[object, ...]:
    return (*image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest())
