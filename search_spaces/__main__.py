"""Write or check a search-space file for nnictl: ``python -m search_spaces --layers 12 --out FILE``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hnas_nni.architecture.genotype import DEFAULT_LAYERS
from hnas_nni.settings.options import OnceParser
from search_spaces.json_file import search_space_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 if a checked file differs, 2 on bad input."""
    parser = OnceParser(prog="python -m search_spaces", description="The search space as JSON for nnictl.")
    parser.add_argument("--space", default="paper", help="paper or efficient (default: %(default)s)")
    parser.add_argument(
        "--layers",
        type=int,
        help=f"number of blocks (default: {DEFAULT_LAYERS} in the paper's space, searched in the efficient one)",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, metavar="FILE", help="write this file, instead of standard output")
    target.add_argument("--check", type=Path, metavar="FILE", help="only check that this file is up to date")
    options = parser.parse_args(arguments)

    from search_spaces import search_space_json

    try:
        text = search_space_text(search_space_json(options.layers, options.space))
        if options.check:
            if options.check.read_text(encoding="utf-8") != text:
                print(f"{options.check}: differs from the space; write it again with --out", file=sys.stderr)
                return 1
        elif options.out:
            options.out.write_text(text, encoding="utf-8")
        else:
            print(text, end="")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # Without its shortcuts NNI imports in a third of the time, and without PyTorch Lightning.
    os.environ.setdefault("NNI_FRAMEWORK", "none")
    sys.exit(main())
