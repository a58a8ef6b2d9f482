"""Get and prepare images: fetch the paper's sets, make LR/HR pairs of your own, look at a folder.

hnas data list               the sets, their size, source and licence
hnas data fetch NAME...      download sets, checked; an interrupted download goes on
hnas data prepare FOLDER     make exact bicubic LR/HR pairs of a folder of HR images
hnas data check FOLDER       what is in a folder, and whether all of it can be used
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hnas_nni.cli.arguments import add_force, add_json, add_quiet
from hnas_nni.cli.terminal import print_error, strong, table

HELP = "fetch the paper's image sets, prepare your own, check a folder"
_EXAMPLES = """\
examples:
  hnas data list
  hnas data fetch DIV2K Set5 Set14 --out data
  hnas data fetch Set5 --out data --url https://mirror.example/Set5.zip
  hnas data prepare photos/ --out pairs --scale 2 3 4
  hnas data check pairs --scale 2
"""
_LIST_EXAMPLES = """\
examples:
  hnas data list
  hnas data list --json
"""
_FETCH_EXAMPLES = """\
A download that broke off goes on when the same command is given again. Where a set's publisher states no checksum, that
of the first download is kept in DIR/checksums.json, and later ones must be the same. An archive that you put into DIR
yourself, as Set5.zip, is taken instead of a download.

examples:
  hnas data fetch DIV2K Set5 --out data
  hnas data fetch Set5 --out data --url https://mirror.example/Set5.zip --sha256 0123...
"""
_PREPARE_EXAMPLES = """\
Writes DIR/image_SRF_2/a_SRF_2_HR.png, HR cut to a multiple of the scale, and a_SRF_2_LR.png, which is MATLAB's bicubic
imresize of it to the bit. Given again, it goes on where it was interrupted, and makes anew what has changed.

examples:
  hnas data prepare photos/ --out pairs
  hnas data prepare data/BSD100 --out BSD100_pairs --scale 2 3 4 --workers 8
"""
_CHECK_EXAMPLES = """\
examples:
  hnas data check data/Set5 --scale 3
  hnas data check embedded:photos --json          the photographs that come along
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of ``hnas data`` and their options."""
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list", help="show the sets", description="Show the sets that can be fetched.", epilog=_LIST_EXAMPLES
    )
    add_json(listing)

    fetching = actions.add_parser(
        "fetch",
        help="download sets",
        description="Download image sets, check and unpack them.",
        epilog=_FETCH_EXAMPLES,
    )
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a set of hnas data list")
    fetching.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the sets; made if need be")
    fetching.add_argument(
        "--url",
        action="append",
        default=[],
        metavar="URL",
        help="a mirror; once for each archive of the one set that is fetched",
    )
    fetching.add_argument("--sha256", action="append", default=[], metavar="HEX", help="its checksum, likewise")
    fetching.add_argument("--keep-archives", action="store_true", help="keep the archives after unpacking")
    add_force(fetching)
    add_quiet(fetching)

    preparing = actions.add_parser(
        "prepare",
        help="make LR/HR pairs",
        description="Make LR/HR pairs of a folder of HR images, subfolders included.",
        epilog=_PREPARE_EXAMPLES,
    )
    preparing.add_argument("folder", metavar="FOLDER", help="HR images of any kind")
    preparing.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the pairs; made if need be"
    )
    preparing.add_argument(
        "--scale", type=int, nargs="+", default=[2], metavar="S", help="factors between LR and HR (%(default)s)"
    )
    preparing.add_argument("--workers", type=int, metavar="N", help="processes (one for each CPU)")
    add_force(preparing)
    add_quiet(preparing)

    checking = actions.add_parser(
        "check",
        help="look at a folder",
        description="Show what a search or a training would find in a folder.",
        epilog=_CHECK_EXAMPLES,
    )
    checking.add_argument(
        "folder", metavar="FOLDER", help="images, LR/HR pairs, or 'embedded:photos' for the embedded ones"
    )
    checking.add_argument("--scale", type=int, default=2, metavar="S", help="factor between LR and HR (%(default)s)")
    add_json(checking)
    add_quiet(checking)


def run(options: argparse.Namespace) -> int | None:
    """Run the action."""
    actions: dict[str, Callable[[argparse.Namespace], int | None]] = {
        "list": _list,
        "fetch": _fetch,
        "prepare": _prepare,
        "check": _check,
    }
    return actions[options.action](options)


def _list(options: argparse.Namespace) -> None:
    from hnas_nni.data.published_sets.catalogue import CATALOGUE
    from hnas_nni.data.published_sets.disk import readable_size

    if options.json:
        sets: list[dict[str, Any]] = [
            {
                "name": entry.name,
                "contents": entry.contents,
                "source": entry.source,
                "licence": entry.licence,
                "archives": [
                    {"folder": archive.folder, "url": archive.url, "size": archive.size, "sha256": archive.sha256}
                    for archive in entry.archives
                ],
            }
            for entry in CATALOGUE.values()
        ]
        print(json.dumps(sets, indent=2))
        return
    for entry in CATALOGUE.values():
        print(f"{strong(entry.name)}: {entry.contents}")
        print(f"  source   {entry.source}")
        print(f"  licence  {entry.licence}")
        for archive in entry.archives:
            known = "size not published" if archive.size is None else readable_size(archive.size)
            checksum = "recorded at the first fetch" if archive.sha256 is None else "published"
            print(f"  archive  {archive.url} ({known}; SHA-256 {checksum})")
        if not entry.archives:
            print("  archive  none: get it from its authors, then use hnas data prepare")


def _fetch(options: argparse.Namespace) -> None:
    from hnas_nni.data.published_sets.catalogue import find_set
    from hnas_nni.data.published_sets.fetch import check_request, fetch

    sets = [find_set(name) for name in options.names]
    if len(sets) > 1 and (options.url or options.sha256):
        raise ValueError("--url and --sha256 are for one set; give one NAME with them")
    for entry in sets:
        check_request(entry, options.url, options.sha256)
    for entry in sets:
        done = fetch(
            entry,
            options.out,
            urls=options.url,
            sha256=options.sha256,
            force=options.force,
            keep_archives=options.keep_archives,
            progress=not options.quiet,
        )
        for part in () if options.quiet else done:
            if part.sha256 is None:
                print(f"{part.folder}: is there already; --force fetches it anew")
            else:
                print(f"{part.folder}: {part.images} images (archive's SHA-256 {part.sha256})")


def _prepare(options: argparse.Namespace) -> int:
    from hnas_nni.data.prepare import prepare

    done = prepare(
        options.folder,
        options.out,
        options.scale,
        workers=options.workers,
        force=options.force,
        progress=not options.quiet,
    )
    for failure in done.failures:
        print_error("hnas data", failure)
    if not options.quiet:
        print(f"{options.out}: {done.made} pairs made, {done.kept} were there already")
    return 2 if done.failures else 0


def _check(options: argparse.Namespace) -> int:
    from hnas_nni.data.inspection import inspect_images

    found = inspect_images(options.folder, options.scale, progress=not options.quiet)
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
        return 2 if found.problems else 0
    for problem in found.problems:
        print_error("hnas data", problem)
    kind = "LR/HR pairs" if found.pairs else "HR images, LR is made from them"
    print(f"{options.folder}: {found.usable} of {found.files} usable at x{options.scale} ({kind})")
    if found.sizes:
        rows = [[f"{height}x{width}", str(count)] for (height, width), count in found.sizes]
        print(table(("HR (height x width)", "images"), rows))
    sys.stdout.flush()
    return 2 if found.problems else 0
