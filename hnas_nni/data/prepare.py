"""Making LR/HR pairs of a folder of HR images, once, instead of at the start of every run.

Every file written carries the checksum of the image it was made of, so a second call knows what it need not do again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from hnas_nni.data.layouts import find_images
from hnas_nni.data.listing import DataError, ImageFiles
from hnas_nni.data.published_sets.manifest import sha256_of
from hnas_nni.data.resize import ImageArray
from hnas_nni.data.sources import check_scale, load_files
from hnas_nni.files import replacing

_KEY = "hnas-nni source"
_RECIPE = "1"
"""Changes when the same image is prepared in another way."""


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` did.

    Parameters
    ----------
    made
        Pairs written.
    kept
        Pairs that were there already, whole and of the same image.
    failures
        A line on each image that could not be used.
    """

    made: int
    kept: int
    failures: tuple[str, ...]


class _Task(NamedTuple):
    """An image at one scale, and the two files to make of it."""

    files: ImageFiles
    scale: int
    hr: Path
    lr: Path


def prepare(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    scales: Sequence[int] = (2,),
    *,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> Prepared:
    """Make LR/HR pairs in SelfExSR's layout, which :func:`hnas_nni.data.load_pairs` reads.

    ``a.jpg`` becomes ``image_SRF_2/a_SRF_2_HR.png``, cropped to a multiple of the scale, and ``a_SRF_2_LR.png`` by
    :func:`hnas_nni.data.bicubic_downsample`; ``b/a.jpg`` becomes ``b_a_...``. A call after one that was interrupted
    does the rest; pairs of images that have changed since are made again. Only one call at a time may write to a
    folder.

    Parameters
    ----------
    source
        A folder of HR images, subfolders included, or ``"embedded:photos"``.
    folder
        Where the pairs go; made if need be.
    scales
        Factors between LR and HR, each at least 1.
    workers
        Processes; by default one for each CPU.
    force
        Make all pairs anew, and replace files that were not made by this function.
    progress
        Show a bar on standard error if that is a terminal.

    Returns
    -------
    Prepared
        What was done. An image that can't be read or is too small does not stop the others.

    Raises
    ------
    DataError
        If the source can't be used, holds LR/HR pairs already, or two images would get the same name.
    OSError
        If the pairs can't be written.
    FileExistsError
        If a file would be replaced that was not made by this function, and `force` is not given. Nothing is done then.
    """
    scales = sorted(set(scales))
    for scale in scales:
        check_scale(scale)
    if workers is not None and workers < 1:
        raise DataError(f"workers: {workers} is not valid; give at least 1")
    folder = Path(folder)
    tasks = _tasks(source, folder, scales)
    if not force:
        for task in tasks:
            _refuse_foreign(task)
    for scale in scales:
        target = folder / f"image_SRF_{scale}"
        target.mkdir(parents=True, exist_ok=True)
        for leftover in target.glob(".*.png.????????"):  # of a call that was killed
            leftover.unlink()
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    made = kept = 0
    failures = set()  # what is wrong with an image at one scale may be wrong at all
    bar = tqdm(total=len(tasks), desc="preparing", unit="pair", disable=None if progress else True)
    with bar:
        for outcome in _outcomes(tasks, workers, force):
            bar.update()
            if isinstance(outcome, str):
                failures.add(outcome)
            elif outcome:
                made += 1
            else:
                kept += 1
    return Prepared(made, kept, tuple(sorted(failures)))


def _tasks(source: str | os.PathLike[str], folder: Path, scales: Sequence[int]) -> list[_Task]:
    if Path(source).is_dir() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(source)):
        raise DataError(f"{folder}: lies in {source}, and would be taken for HR images; give a folder elsewhere")
    tasks: list[_Task] = []
    for scale in scales:
        stems: dict[str, Path] = {}
        for files in find_images(source, scale):
            if files.lr is not None:
                raise DataError(f"{source}: holds LR/HR pairs already; they can be used as they are")
            stem = files.name.replace("/", "_")
            if (other := stems.setdefault(stem, files.hr)) != files.hr:
                raise DataError(f"{files.hr}: would get the same name as {other}, {stem}; rename one of them")
            target = folder / f"image_SRF_{scale}"
            hr, lr = (target / f"{stem}_SRF_{scale}_{kind}.png" for kind in ("HR", "LR"))
            tasks.append(_Task(files, scale, hr, lr))
    return tasks


def _outcomes(tasks: Sequence[_Task], workers: int, force: bool) -> Iterator[bool | str]:
    """Yield, for each task as it is done, whether a pair was made, or a line on why not."""
    if workers == 1:
        yield from (_prepare_one(task, force) for task in tasks)
        return
    # Threads of the caller, as torch has them, must not be forked.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        futures: list[Future[bool | str]] = [pool.submit(_prepare_one, task, force) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "a process was killed, perhaps for want of memory; run this again with fewer --workers, it goes on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_one(task: _Task, force: bool) -> bool | str:
    """Make a pair if need be; returns whether it was made, or a line on why not."""
    try:
        origin = f"{_RECIPE} x{task.scale} {sha256_of(task.files.hr)}"
        if not force and all(_origin(path, whole=True) == origin for path in (task.hr, task.lr)):
            return False
        (pair,) = load_files([task.files], task.scale, strict=True)
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"{task.files.hr}: {error.strerror or error}"
    _write(task.hr, pair.hr, origin)
    _write(task.lr, pair.lr, origin)
    return True


def _write(path: Path, image: ImageArray, origin: str) -> None:
    notes = PngInfo()
    notes.add_text(_KEY, origin)
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            Image.fromarray(image).save(file, "PNG", pnginfo=notes)
    except OSError as error:
        raise OSError(
            f"{path}: {error.strerror or error}; what is done is kept, run this again for the rest"
        ) from error


def _origin(path: Path, whole: bool = False) -> str | None:
    """What a file says it was made of; None if it does not say so, or is damaged and should be `whole`."""
    try:
        with Image.open(path) as image:
            origin = image.info.get(_KEY)
            if whole:
                image.load()
    except (OSError, SyntaxError, ValueError):
        return None
    return origin


def _refuse_foreign(task: _Task) -> None:
    for path in (task.hr, task.lr):
        if path.exists() and _origin(path) is None:
            raise FileExistsError(f"{path}: exists already, and was not made of {task.files.hr}; --force replaces it")
