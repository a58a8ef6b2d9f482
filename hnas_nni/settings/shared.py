"""Settings that several classes have, and values that settings may have."""

from __future__ import annotations

import os
from pathlib import Path

from hnas_nni.settings.setting import Setting

EMBEDDED = "embedded:photos"
"""Stands in place of a folder: photographs that scikit-image and scikit-learn bring along, so nothing is downloaded."""

JPEG_QUALITY = 95
"""Of JPEG and WebP files."""

MAX_MEGAPIXELS = 250
"""The largest picture that is accepted: a small file can hold one that fills the memory."""

CROP_SIZE = 64
"""Side of the detail that is looked for in a comparison, in HR pixels."""

SCALES = (2, 3, 4)
"""Upscaling factors for which the operations are defined."""


def check_scale(name: str, value: object) -> None:
    """Raise ValueError if an upscaling factor is not one of :data:`SCALES`; the message begins with the name."""
    if value not in SCALES:
        raise ValueError(f"{name}: {value!r} is not supported; valid are {', '.join(map(str, SCALES))}")


def _check_images(name: str, source: str) -> None:
    if source != EMBEDDED and not Path(source).is_dir():
        raise ValueError(f'{name}: {source}: no such folder; give a folder of images, or "{EMBEDDED}"')


def _check_table(name: str, path: object) -> None:
    if not isinstance(path, str) or not Path(path).expanduser().is_file():
        raise ValueError(f"{name}: {path}: no such file; hnas latency --out FILE writes one")


def _locate_images(source: str) -> str:
    return source if source == EMBEDDED else os.path.realpath(os.path.expanduser(source))


# Images.
DATA = Setting(
    str,
    'folder of images, or "embedded:photos" for those that come along',
    test=_check_images,
    locate=_locate_images,
    metavar="DIR",
    group="data",
)
VALIDATION = Setting(
    str, "images to measure, e.g. Set5", test=_check_images, locate=_locate_images, metavar="DIR", group="data"
)
LIMIT = Setting(int, "images of each split at most, 0 for all", least=0, group="data")
SKIP_UNUSABLE = Setting(
    bool, "leave images out, with a warning, that can't be read or are too small, instead of ending", group="data"
)

SMALLER_COPIES = Setting(
    bool, "train on copies of 0.7 and 0.5 times the images' size as well: worth more, the fewer images", group="data"
)

# Sizes of a network.
SCALE = Setting(int, "upscaling factor: 2, 3 or 4", test=check_scale, metavar="S", group="network")
# Far above what is used, and low enough that no small file asks for a network that fills the memory.
CHANNELS = Setting(int, "C, channels of an operation", least=1, most=4096, group="network")
LAYERS = Setting(int, "L, blocks of the network", least=2, most=1000, group="network")

# The joint reward, see :class:`hnas_nni.trial.reward.JointReward`.
REWARD_LAMBDA = Setting(
    float,
    "weight of PSNR against multiply-adds; 0.2, 0.6, 0.9 for the paper's A, B, C",
    least=0,
    most=1,
    give="a number from 0 (cost alone) to 1 (PSNR alone)",
    option="lambda",
    group="reward",
)
COST_SCALE = Setting(
    float,
    "dB that a billion multiply-adds cost",
    least=0,
    give="a number of at least 0, in dB per GMAC",
    group="reward",
)
BUDGET = Setting(
    float,
    "most multiply-adds of an architecture, in 10^9 at a 3x480x480 input",
    above=0,
    give="a positive number of GMAC",
    optional=True,
    group="reward",
)
BUDGET_PARAMS = Setting(
    float,
    "most parameters of an architecture",
    above=0,
    give="a positive number",
    optional=True,
    group="reward",
)

BUDGET_MS = Setting(
    float,
    "most milliseconds of an architecture on one image, by the table of --latency",
    above=0,
    give="a positive number of milliseconds",
    optional=True,
    group="reward",
)
LATENCY = Setting(
    str,
    "the parts' milliseconds on a device, a file of hnas latency",
    test=_check_table,
    locate=lambda path: str(Path(path).expanduser().resolve()),
    metavar="FILE",
    optional=True,
    group="reward",
)

# A training.
STEPS = Setting(int, "training steps", least=1, group="training")
EPOCHS = Setting(int, "length of the training", least=1, group="training")
STEPS_PER_EPOCH = Setting(int, "steps of an epoch", least=1, group="training")
BATCH = Setting(int, "patches in a step", least=1, group="training")
PATCH = Setting(int, "side of a patch in HR pixels", multiple_of="scale", group="training")
LEARNING_RATE = Setting(float, "at the first step; a cosine takes it to a hundredth", above=0, group="training")
FIRST_WEIGHTS = Setting(
    str,
    "those of an interpolation, or random ones as the authors' code has",
    choices=("interpolation", "torch"),
    group="training",
)
MEASURED_PATCHES = Setting(int, "patches that PSNR is measured on", least=1, group="training")

# The machine. A single GPU of several is chosen with CUDA_VISIBLE_DEVICES.
SEED = Setting(int, "decides everything random", least=0, most=2**32 - 1, group="machine")
DEVICE = Setting(
    str,
    "auto (CUDA where there is one), cpu or cuda",
    choices=("auto", "cpu", "cuda"),
    metavar="DEVICE",
    group="machine",
)
PRECISION = Setting(
    str, "of numbers; those of 16 bits by automatic mixed precision", choices=("32", "16", "bf16"), group="machine"
)
THREADS = Setting(int, "CPU threads, 0 for torch's own choice", least=0, group="machine")
