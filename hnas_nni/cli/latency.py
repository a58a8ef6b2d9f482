"""Measure how long the parts of a space's networks take on this machine, so that a search's budget can be milliseconds.

The table that it writes is for budget_ms and latency: in a tuner's classArgs, and as options of hnas search and of
trials. A network's time is taken as the sum of its parts'; in the end whole networks are timed, to say how far that is
from the truth.
"""

from __future__ import annotations

import argparse
import re
import statistics
from pathlib import Path

from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS
from hnas_nni.architecture.spaces import EFFICIENT, SPACES
from hnas_nni.cli.arguments import add_device, add_force, add_quiet, check_output
from hnas_nni.settings import shared
from hnas_nni.settings.options import add_option

HELP = "measure the space's parts on this machine, for a budget in milliseconds"
_EXAMPLES = """\
examples:
  hnas latency --out cpu.json                       one thread, 480x480 pixels, the efficient space
  hnas latency --out cpu.json --size 320x180 --threads 4
  hnas latency --out gpu.json --device cuda --scale 4
  hnas latency --out paper.json --space paper --channels 16
then, in config.yml:
  classArgs: {budget_ms: 30, latency: /absolute/path/of/cpu.json}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``hnas latency``."""
    parser.epilog = _EXAMPLES
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the table goes")
    parser.add_argument("--space", choices=list(SPACES), default=EFFICIENT.name, help="search space (%(default)s)")
    parser.add_argument(
        "--size", default="480x480", metavar="SIZE", help="of the low-resolution image, width x height (%(default)s)"
    )
    add_option(parser, "scale", shared.SCALE, 2)
    add_option(
        parser, "channels", shared.CHANNELS, DEFAULT_CHANNELS, "in a space that does not search it: {}"
    ).default = None
    add_device(parser, numbered=True)
    add_option(parser, "threads", shared.THREADS, 1)
    parser.add_argument(
        "--check", type=int, default=6, metavar="N", help="time so many random networks as a whole (%(default)s)"
    )
    add_force(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> None:
    """Measure, write the table, and say how well it adds up."""
    check_output(options.out, options.force)
    for name, setting in (("scale", shared.SCALE), ("threads", shared.THREADS), ("channels", shared.CHANNELS)):
        if getattr(options, name) is not None:
            setting.check(f"--{name}", getattr(options, name))
    if options.check < 0:
        raise ValueError(f"--check: {options.check} is not valid; give at least 0")
    space = SPACES[options.space]
    if space.sized and options.channels is not None:
        raise ValueError(f"--channels: the {space.name} space searches it, and every C is measured; leave it out")
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", options.size)
    if size is None:
        raise ValueError(f"--size: {options.size!r} is not valid; give width and height in pixels, as 480x480")
    from hnas_nni.network.devices import choose_device
    from hnas_nni.timing import check, measure

    device = str(choose_device(options.device))
    threads = options.threads or 1
    widths = space.widths or (options.channels or DEFAULT_CHANNELS,)
    tell = None if options.quiet else lambda width: print(f"C = {width}", flush=True)
    table = measure(
        space,
        options.scale,
        (int(size[2]), int(size[1])),
        channels=widths,
        device=device,
        threads=threads,
        tell=tell,
    )
    table.write(options.out)
    if options.check:
        found = check(table, options.check, layers=DEFAULT_LAYERS, device=device, threads=threads)
        off = [each.added_up / each.measured - 1 for each in found]
        print(
            f"{len(found)} whole networks of {min(found).measured:.1f} to {max(found).measured:.1f} ms: the sum of "
            f"their parts is off by {statistics.fmean(off):+.0%} on average, from {min(off):+.0%} to {max(off):+.0%}"
        )
    if not options.quiet:
        print(f"{table.device}, {options.size} pixels, x{options.scale} -> {options.out}")
