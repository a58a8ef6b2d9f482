"""Options that the commands which run models share."""

from __future__ import annotations

import argparse
from typing import Literal

from hnas_nni.cli.arguments import add_device, add_threads

MODEL_HELP = "a model file (.safetensors), or bicubic"
MODELS_HELP = f"{MODEL_HELP}; as NAME=MODEL with what to call it (the file's name, or of best and last the folder's)"


def add_inference_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--scale``, ``--device``, ``--threads``, ``--tile`` and ``--self-ensemble``."""
    parser.add_argument("--scale", type=int, metavar="S", help="upscaling factor; needed if bicubic is the only model")
    add_device(parser, numbered=True)
    add_threads(parser)
    parser.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="N",
        help="largest side of a tile in LR pixels, off, or auto: tiles where the memory asks for them (%(default)s)",
    )
    parser.add_argument(
        "--self-ensemble", action="store_true", help="mean over eight flips and turns; takes eight times as long"
    )


def _tile(text: str) -> int | Literal["auto"] | None:
    if text in {"auto", "off"}:
        return "auto" if text == "auto" else None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give a number of pixels from 1, auto or off")
    return int(text)
