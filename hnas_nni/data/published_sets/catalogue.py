"""The image sets of the paper: where they are published, and what must be in their archives.

A size or checksum is given only where one is published; those of DIV2K are from TensorFlow Datasets
(``div2k/checksums.tsv``). For the others :mod:`hnas_nni.data.published_sets.manifest` records the checksum of the first
download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hnas_nni.data.listing import DataError


@dataclass(frozen=True)
class Archive:
    """One file to download, and the images to take out of it.

    Parameters
    ----------
    folder
        Where its images go, relative to the folder of all sets; it appears only when all of them are there.
    url
        The official address.
    members
        Pattern of the paths in the archive that are taken; its group ``image`` is the path within `folder`.
    images
        How many images each subfolder of `folder` must get ("" is `folder` itself): HR and LR counted singly.
    size
        Of the archive in bytes, if published.
    sha256
        Of the archive, in hexadecimal digits, if published.
    """

    folder: str
    url: str
    members: str
    images: Mapping[str, int]
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A set of images.

    Parameters
    ----------
    name
        As papers write it.
    contents
        What is in it, for people.
    source
        The page of its authors.
    licence
        What its authors allow, in short; their page has the last word.
    archives
        What to download; empty if it cannot be had without asking its authors.
    """

    name: str
    contents: str
    source: str
    licence: str
    archives: tuple[Archive, ...] = field(default=())


_SELFEXSR = "https://github.com/jbhuang0604/SelfExSR"
# The archives also hold the results of older methods, beside the pairs.
_SELFEXSR_PAIRS = r"(?:.*/)?(?P<image>image_SRF_(\d)/(?!\.)[^/]+_SRF_\2_(?:HR|LR)\.png)"


def _selfexsr(name: str, file: str, images: int, scales: tuple[int, ...]) -> Archive:
    """An archive of LR/HR pairs that the authors of SelfExSR (Huang et al., CVPR 2015) share."""
    counts = {f"image_SRF_{scale}": 2 * images for scale in scales}
    return Archive(name, f"https://uofi.box.com/shared/static/{file}.zip", _SELFEXSR_PAIRS, counts)


_DIV2K_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K"

_SETS = (
    DataSet(
        "DIV2K",
        "800 training and 100 validation images of 2K resolution, HR only",
        f"{_DIV2K_URL}/",
        "academic research only",
        (
            Archive(
                "DIV2K/DIV2K_train_HR",
                f"{_DIV2K_URL}/DIV2K_train_HR.zip",
                r"(?:.*/)?(?P<image>0[0-8]\d\d\.png)",
                {"": 800},
                3_530_603_713,
                "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
            ),
            Archive(
                "DIV2K/DIV2K_valid_HR",
                f"{_DIV2K_URL}/DIV2K_valid_HR.zip",
                r"(?:.*/)?(?P<image>0[89]\d\d\.png)",
                {"": 100},
                448_993_893,
                "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
            ),
        ),
    ),
    DataSet(
        "Set5",
        "5 images, LR/HR pairs at x2, x3, x4 (Bevilacqua et al., BMVC 2012)",
        _SELFEXSR,
        "none stated; use for research",
        (_selfexsr("Set5", "kfahv87nfe8ax910l85dksyl2q212voc", 5, (2, 3, 4)),),
    ),
    DataSet(
        "Set14",
        "14 images, LR/HR pairs at x2, x3, x4 (Zeyde et al., 2010)",
        _SELFEXSR,
        "none stated; use for research",
        (_selfexsr("Set14", "igsnfieh4lz68l926l8xbklwsnnk8we9", 14, (2, 3, 4)),),
    ),
    DataSet(
        "BSD100",
        "the 100 test images of BSDS300, HR only (Martin et al., ICCV 2001)",
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/",
        "non-commercial research and education",
        (
            Archive(
                "BSD100",
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/BSDS300-images.tgz",
                r"(?:.*/)?images/test/(?P<image>\d+\.jpg)",
                {"": 100},
            ),
        ),
    ),
    DataSet(
        "Urban100",
        "100 images of buildings, LR/HR pairs at x2 and x4 (Huang et al., CVPR 2015)",
        _SELFEXSR,
        "none stated; use for research",
        (_selfexsr("Urban100", "65upg43jjd0a4cwsiqgl6o6ixube6klm", 100, (2, 4)),),
    ),
    DataSet(
        "Manga109",
        "109 manga pages, HR only (Matsui et al., 2017)",
        "http://www.manga109.org/en/",
        "by registration with its authors",
    ),
)

CATALOGUE: Mapping[str, DataSet] = {data_set.name: data_set for data_set in _SETS}
"""The sets by name, in the order in which the paper uses them."""


def find_set(name: str) -> DataSet:
    """Return a set by its name, in any case of letters.

    Raises
    ------
    DataError
        If there is no such set.
    """
    for known in CATALOGUE.values():
        if known.name.lower() == name.lower():
            return known
    raise DataError(f"{name}: no such set; known are {', '.join(CATALOGUE)}")
