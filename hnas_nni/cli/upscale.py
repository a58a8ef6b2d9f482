"""Upscale picture files with a trained network.

Read are PNG, JPEG, TIFF, WebP, BMP, PPM, GIF and what else Pillow decodes; written is the same format, or PNG where it
is another than the first six. 16 bits a channel are kept in PNG and TIFF, grey stays grey, transparent parts are
enlarged by bicubic interpolation, colour profiles and Exif data are kept and the Exif orientation is applied. Large
pictures are computed in tiles. A file that can't be used is reported, and the others go on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hnas_nni.cli.arguments import add_force, add_quiet, use_threads
from hnas_nni.cli.inference_options import MODEL_HELP, add_inference_options
from hnas_nni.cli.terminal import one_line, print_error

if TYPE_CHECKING:
    from tqdm import tqdm

    from hnas_nni.inference import Model

HELP = "upscale pictures with a trained network"
_EXAMPLES = """\
examples:
  hnas upscale model.safetensors photo.jpg --out upscaled
  hnas upscale model.safetensors holiday/ scans/*.tif --out upscaled --format png
  hnas upscale bicubic --scale 3 photo.png --out upscaled
  hnas upscale model.safetensors poster.png --out upscaled --tile 256 --self-ensemble
"""
_FORMATS = ("png", "jpeg", "tiff", "webp", "bmp", "ppm")


class _Job(NamedTuple):
    source: Path
    target: Path
    """Without the ending, which follows from the format where none was asked for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas upscale``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture files, or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made if need be")
    add_inference_options(parser)
    parser.add_argument("--format", choices=_FORMATS, help="format to write (that of each picture)")
    parser.add_argument("--quality", type=int, default=95, metavar="N", help="of JPEG and WebP, 1..100 (%(default)s)")
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=250,
        metavar="X",
        help="refuse larger pictures: a small file can hold one that fills the memory (%(default)s)",
    )
    add_force(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> int:
    """Upscale one picture after the other; return 0, or 2 if one of them failed."""
    if not 1 <= options.quality <= 100:
        raise ValueError(f"--quality: {options.quality} is not valid; give 1..100")
    if not options.max_megapixels > 0:
        raise ValueError(f"--max-megapixels: {options.max_megapixels:g} is not valid; give a number above 0")
    if options.out.exists() and not options.out.is_dir():
        raise NotADirectoryError(f"{options.out}: is a file; give the name of a folder")
    jobs = _jobs(options)
    from tqdm import tqdm

    from hnas_nni.inference import choose_device, read_model

    use_threads(options.threads)
    device = choose_device(options.device)
    model = read_model(options.model, options.scale, device, ensemble=options.self_ensemble)
    failed = 0
    written: set[Path] = set()
    for number, job in enumerate(jobs, start=1):
        with tqdm(unit="px", unit_scale=True, leave=False, disable=True if options.quiet else None) as bar:
            bar.set_description(f"{number}/{len(jobs)} {job.source.name}")
            try:
                line = _upscale_file(job, model, options, bar, written)
            except (ValueError, OSError, MemoryError) as error:
                bar.close()
                reason = "does not fit into the memory" if isinstance(error, MemoryError) else one_line(error)
                message = reason if reason.startswith(str(job.source)) else f"{job.source}: {reason}"
                print_error("hnas upscale", message)
                failed += 1
                continue
        if not options.quiet:
            print(line, flush=True)
    if failed and len(jobs) > 1:
        print_error("hnas upscale", f"{failed} of {len(jobs)} pictures failed")
    return 2 if failed else 0


def _upscale_file(job: _Job, model: Model, options: argparse.Namespace, bar: tqdm, written: set[Path]) -> str:
    """Upscale one picture, and say in a line what was done."""
    from hnas_nni.inference import tile_size
    from hnas_nni.inference.picture_files import (
        FORMATS,
        comes_in_bands,
        output_format,
        read_picture,
        write_picture,
        write_rows,
    )
    from hnas_nni.inference.upscaling import upscale_picture, upscale_rows

    picture = read_picture(job.source, options.max_megapixels)
    asked = None if options.format is None else options.format.upper()
    name = output_format(picture, asked, model.scale)
    target = _with_suffix(job, name if asked or name != picture.format else None, FORMATS[name].suffix)
    if target in written or (target.exists() and target.samefile(job.source)):
        raise FileExistsError(f"{target} is needed for another picture; give another --out")
    if target.exists() and not options.force:
        raise FileExistsError(f"{target} exists already; give another --out, or --force to replace it")
    height, width = picture.pixels.shape[:2]
    bar.reset(total=height * width)
    tiled = not model.is_local and tile_size(height, width, model, options.tile) < max(height, width)
    tiles = ", in tiles: channel attention averages over each" if tiled else ""
    frames = f" (first of {picture.frames} frames)" if picture.frames > 1 else ""
    depth = ", 16 bits rounded to 8" if picture.pixels.itemsize == 2 and not FORMATS[name].deep else ""
    target.parent.mkdir(parents=True, exist_ok=True)
    if comes_in_bands(name, picture.pixels.dtype, picture.pixels.size * model.scale**2):
        write_rows(upscale_rows(picture, model, options.tile, bar.update), target, name)
    else:
        write_picture(upscale_picture(picture, model, options.tile, bar.update), target, name, options.quality)
    written.add(target)
    return f"{job.source}{frames} -> {target}: {width * model.scale}x{height * model.scale}{depth}{tiles}"


def _with_suffix(job: _Job, format: str | None, suffix: str) -> Path:
    """The file to write; it keeps the picture's own ending if it keeps the format."""
    return job.target.with_name(job.target.name + (job.source.suffix if format is None else suffix))


def _jobs(options: argparse.Namespace) -> list[_Job]:
    """List the pictures and what to call their results.

    Raises
    ------
    FileNotFoundError
        If a file is missing, or a folder holds no pictures.
    ValueError
        If two pictures would be written to one file.
    """
    jobs = [job for source in options.images for job in _jobs_of(source, options.out)]
    seen: dict[str, Path] = {}
    for job in jobs:
        # Pictures of one name and different endings stay apart, unless they all become one format.
        key = str(job.target) if options.format else str(job.target) + job.source.suffix.lower()
        if key in seen:
            raise ValueError(f"{job.source} and {seen[key]} would be written to one file; upscale them separately")
        seen[key] = job.source
    return jobs


def _jobs_of(source: Path, out: Path) -> Iterator[_Job]:
    from hnas_nni.data.images import IMAGE_SUFFIXES

    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder; give picture files, or folders of them")
    if not source.is_dir():
        yield _Job(source, out / source.stem)
        return
    found = False
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        # What an earlier run wrote into a subfolder is not upscaled again.
        if any(part.startswith(".") for part in inside.parts) or out.resolve() in path.resolve().parents:
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            found = True
            yield _Job(path, out / inside.with_suffix(""))
    if not found:
        raise FileNotFoundError(f"{source}: no pictures in this folder")
