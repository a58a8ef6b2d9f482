"""Upscale picture files with a trained network.

Read are PNG, JPEG, TIFF, WebP, BMP, PPM, GIF, AVIF, HEIC and what else libvips or Pillow decodes; written is the same
format, or PNG where it is another than the first six. 16 bits a channel are kept in PNG and TIFF, grey stays grey,
opacity is enlarged by bicubic interpolation, colour profiles are kept, and Exif data but in TIFF, and the Exif
orientation is applied. Large pictures are computed in tiles. A file that can't be used is reported, and the others go
on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hnas_nni.cli.arguments import add_force, add_json, add_quiet, check_output_folder, use_threads
from hnas_nni.cli.inference_options import MODEL_HELP, add_inference_options
from hnas_nni.cli.pictures import Job, Taken, jobs_of
from hnas_nni.cli.terminal import one_line, print_error
from hnas_nni.settings import JPEG_QUALITY, MAX_MEGAPIXELS

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
  hnas upscale model.safetensors holiday/ --out upscaled --json
"""
_FORMATS = ("png", "jpeg", "tiff", "webp", "bmp", "ppm")


@dataclass(frozen=True)
class _Upscaled:
    """A picture that was written, as ``--json`` shows it."""

    source: str
    file: str
    format: str
    width: int
    height: int
    frames_in_source: int
    rounded_to_8_bits: bool
    tiled: bool
    """In tiles that can be told apart."""

    def __str__(self) -> str:
        frames = f" (first of {self.frames_in_source} frames)" if self.frames_in_source > 1 else ""
        depth = ", 16 bits rounded to 8" if self.rounded_to_8_bits else ""
        tiles = ", in tiles: channel attention averages over each" if self.tiled else ""
        return f"{self.source}{frames} -> {self.file}: {self.width}x{self.height}{depth}{tiles}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas upscale``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture files, or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made if need be")
    add_inference_options(parser)
    parser.add_argument("--format", choices=_FORMATS, help="format to write (that of each picture)")
    parser.add_argument(
        "--quality", type=int, default=JPEG_QUALITY, metavar="N", help="of JPEG and WebP, 1..100 (%(default)s)"
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=MAX_MEGAPIXELS,
        metavar="X",
        help="refuse larger pictures: a small file can hold one that fills the memory (%(default)s)",
    )
    add_force(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> int:
    """Upscale one picture after the other; return 0, or 2 if one of them failed."""
    if not 1 <= options.quality <= 100:
        raise ValueError(f"--quality: {options.quality} is not valid; give 1..100")
    if not options.max_megapixels > 0:
        raise ValueError(f"--max-megapixels: {options.max_megapixels:g} is not valid; give a number above 0")
    check_output_folder(options.out)
    jobs = jobs_of(options.images, options.out)
    from tqdm import tqdm

    from hnas_nni.inference import read_model
    from hnas_nni.network.devices import choose_device
    from hnas_nni.pictures.libvips import use_vips_threads

    use_threads(options.threads)
    use_vips_threads(options.threads)
    device = choose_device(options.device)
    model = read_model(options.model, options.scale, device, ensemble=options.self_ensemble)
    taken = Taken(jobs)
    done: list[_Upscaled] = []
    failed: list[str] = []
    for number, job in enumerate(jobs, start=1):
        with tqdm(unit="px", unit_scale=True, leave=False, disable=True if options.quiet else None) as bar:
            bar.set_description(f"{number}/{len(jobs)} {job.source.name}")
            try:
                done.append(_upscale_file(job, model, options, bar, taken))
            except (ValueError, OSError, MemoryError) as error:
                bar.close()
                failed.append(_reason(error, job.source))
                print_error("hnas upscale", failed[-1])
                continue
        if not options.quiet and not options.json:
            print(done[-1], flush=True)
    if options.json:
        print(json.dumps({"pictures": [asdict(picture) for picture in done], "failed": failed}, indent=2))
    if failed and len(jobs) > 1:
        print_error("hnas upscale", f"{len(failed)} of {len(jobs)} pictures failed")
    return 2 if failed else 0


def _upscale_file(job: Job, model: Model, options: argparse.Namespace, bar: tqdm, taken: Taken) -> _Upscaled:
    from hnas_nni.inference import tile_size
    from hnas_nni.inference.upscaling import upscale_rows
    from hnas_nni.pictures.reading import read_picture
    from hnas_nni.pictures.writing import FORMATS, output_format, write_rows

    picture = read_picture(job.source, options.max_megapixels)
    asked = None if options.format is None else options.format.upper()
    name = output_format(picture, asked, model.scale)
    if not FORMATS[name].alpha:
        picture = replace(picture, alpha=None)  # opaque everywhere
    target = job.target(FORMATS[name].suffix if asked or name != picture.format else None)
    taken.check(target)
    if target.exists() and not options.force:
        raise FileExistsError(f"{target} exists already; give another --out, or --force to replace it")
    height, width = picture.pixels.shape[:2]
    bar.reset(total=height * width)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_rows(upscale_rows(picture, model, options.tile, bar.update), target, name, options.quality)
    taken.add(target, job.source)
    return _Upscaled(
        source=str(job.source),
        file=str(target),
        format=name.lower(),
        width=width * model.scale,
        height=height * model.scale,
        frames_in_source=picture.frames,
        rounded_to_8_bits=picture.pixels.itemsize == 2 and not FORMATS[name].deep,
        tiled=not model.is_local and tile_size(height, width, model, options.tile) < max(height, width),
    )


def _reason(error: Exception, source: Path) -> str:
    """Return why a picture failed, with the file that it is about."""
    if isinstance(error, MemoryError):
        return f"{source}: does not fit into the memory"
    reason = one_line(error)
    names_file = isinstance(error, OSError) and error.filename is not None
    return reason if names_file or reason.startswith((f"{source}:", f"{source} ")) else f"{source}: {reason}"
