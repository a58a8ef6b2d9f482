"""libvips as a guest in the process: quiet, tidy, with as many threads as it is given, and known content first."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import picture_writer
import pytest
from picture_writer import write_picture
from PIL import Image

from hnas_nni.cli import main
from hnas_nni.data import ImageError, load_pairs
from hnas_nni.pictures.libvips import libvips, use_vips_threads
from hnas_nni.pictures.picture import Picture
from hnas_nni.pictures.reading import read_picture

_PHOTO = load_pairs("embedded:photos", 2, limit=1)[0].lr[:33, :47]


pytestmark = pytest.mark.usefixtures("in_folder")


def test_a_files_content_decides_not_its_name() -> None:
    for name, format in (("it.jpg", "PNG"), ("it.png", "TIFF"), ("it.txt", "JPEG"), ("it", "WEBP"), ("it.gif", "BMP")):
        Image.fromarray(_PHOTO).save(name, format)
        assert read_picture(name).format == format
    Path("it.csv").write_text("1,2,3\n4,5,6\n")  # which libvips would read by its name
    with pytest.raises(ImageError, match=r"it\.csv: not an image"):
        read_picture("it.csv")


@pytest.mark.parametrize("name", ["it.png[page=3]", "[1].png", "%d.png", "-.png", b"\xff\xfe.png"])
def test_names_are_only_names(name: str | bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A name in brackets would be options to libvips; and one need not be UTF-8."""
    Image.fromarray(_PHOTO).save("plain.png")
    os.rename("plain.png", name)
    for _ in range(2):
        arguments = ["upscale", "bicubic", "--scale", "2", f"./{os.fsdecode(name)}", "--out", "out", "--force"]
        assert main([*arguments, "--format", "png", "-q"]) == 0
    (written,) = Path("out").iterdir()
    assert Image.open(written).size == (94, 66)


def test_no_file_stays_open_and_none_is_remembered() -> None:
    open_files = Path("/proc/self/fd")
    Image.fromarray(_PHOTO).save("it.png")
    read_picture("it.png")
    before = len(list(open_files.iterdir()))
    for value in range(5):
        pixels = np.full((20, 30, 3), value, np.uint8)
        for format in ("PNG", "TIFF", "JPEG", "WEBP", "BMP"):
            write_picture(Picture(pixels), "same", format)  # over the one before
            assert np.abs(read_picture("same").pixels.astype(int) - value).max() <= 3
    Path("same").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(ImageError):
        read_picture("same")
    assert len(list(open_files.iterdir())) == before


def test_remarks_on_damaged_files_stay_out_of_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(_PHOTO).save("it.jpg")
    data = Path("it.jpg").read_bytes()
    Path("it.jpg").write_bytes(data[: len(data) // 2])
    logging.getLogger().addHandler(handler := logging.StreamHandler())  # as Lightning and others do
    try:
        assert main(["upscale", "bicubic", "--scale", "2", "it.jpg", "--out", "out"]) == 2
    finally:
        logging.getLogger().removeHandler(handler)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("hnas upscale: error: it.jpg: damaged or cut short: ")


def test_remarks_on_one_picture_are_not_told_of_the_next() -> None:
    Image.fromarray(_PHOTO).save("it.jpg")
    data = Path("it.jpg").read_bytes()
    scan = data.index(b"\xff\xda")
    Path("odd.jpg").write_bytes(data[:scan] + bytes(7) + data[scan:])
    np.testing.assert_array_equal(read_picture("odd.jpg").pixels, read_picture("it.jpg").pixels)
    Path("cut.jpg").write_bytes(data[:-2])
    with pytest.raises(ImageError, match=r"cut\.jpg: damaged or cut short: premature end of JPEG image"):
        read_picture("cut.jpg")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "avif"])
def test_files_that_are_cut_short_are_one_line(ending: str, capfd: pytest.CaptureFixture[str]) -> None:
    name = f"it.{ending}"
    Image.fromarray(np.tile(_PHOTO, (4, 4, 1))).save(name)
    data = Path(name).read_bytes()
    for length in (0, 3, 20, len(data) // 3, len(data) - 40):
        Path(name).write_bytes(data[:length])
        assert main(["upscale", "bicubic", "--scale", "2", name, "--out", "out"]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert re.match(
            rf"hnas upscale: error: {name}: (damaged or cut short: \w|not an image that Pillow knows$)", line
        )
        assert len(line) < 200


def test_it_takes_the_threads_that_it_is_given() -> None:
    own = libvips().concurrency_get()
    Image.fromarray(_PHOTO).save("it.png")
    assert main(["upscale", "bicubic", "--scale", "2", "it.png", "--out", "out", "--threads", "3", "-q"]) == 0
    try:
        assert libvips().concurrency_get() == 3
    finally:
        use_vips_threads(own)


def test_it_is_loaded_only_where_it_is_used() -> None:
    program = (
        "import sys, hnas_nni.pictures.pillow, hnas_nni.pictures.writing, hnas_nni.pictures.reading\n"
        "print('pyvips' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def _read_in_child(queue: multiprocessing.Queue) -> None:
    try:
        queue.put(read_picture("it.png").pixels.shape)
    except RuntimeError as error:
        queue.put(str(error))


def test_a_forked_process_is_told_and_does_not_wait_for_ever() -> None:
    Image.fromarray(_PHOTO).save("it.png")
    read_picture("it.png")
    for method, expected in (("fork", "libvips was used before this process was forked"), ("spawn", "(33, 47, 3)")):
        context = multiprocessing.get_context(method)
        process = context.Process(target=_read_in_child, args=[queue := context.Queue()])
        process.start()
        assert expected in str(queue.get(timeout=60))
        process.join()


@pytest.mark.slow
def test_a_process_that_is_forked_before_its_first_use_reads_and_writes() -> None:
    Image.fromarray(_PHOTO).save("it.png")
    program = """
import multiprocessing, torch
from picture_writer import write_picture
from hnas_nni.pictures.reading import read_picture
torch.ones(100, 100) @ torch.ones(100, 100)
process = multiprocessing.get_context("fork").Process(
    target=lambda: write_picture(read_picture("it.png"), "it.tif", "TIFF")
)
process.start()
process.join(60)
print(process.exitcode)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(picture_writer.__file__).parent)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "0\n"
    np.testing.assert_array_equal(np.asarray(Image.open("it.tif")), _PHOTO)
