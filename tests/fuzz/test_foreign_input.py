"""Damaged input of every kind: done or refused, in a short line, in little memory, without a traceback.

Seeded, so that each run tries the same; ``HNAS_FUZZ=10`` tries ten times as many.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import resource
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import VALUES, damaged_bytes, damaged_document, nested
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from image_archives import png
from PIL import Image

from hnas_nni import HNAS_A, Cell, Edge, Genotype, save
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cli import main
from hnas_nni.data.published_sets.catalogue import find_set
from hnas_nni.foreign_text import LONGEST_LINE
from hnas_nni.trial.shared_weights import SharedWeights

pytestmark = pytest.mark.slow

TIMES = float(os.environ.get("HNAS_FUZZ", "1"))
MEMORY = 500 * 2**20

SMALL = Genotype(
    normal=Cell((Edge("conv_3x3", 1), Edge("skip", 0), Edge("skip", 2)), 1),
    upsampling=Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 0)), 1),
    position=2,
    depth=2,
    width=4,
    space=EFFICIENT,
)
SETS = Genotype.random(3, layers=2)
SIZES = {"scale": 2, "channels": 1, "layers": 2}


def tried(examples: int) -> Callable[[Any], Any]:
    """Let a test try so many inputs, the same in each run."""

    def decorate(test: Any) -> Any:
        health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
        bounded = settings(
            max_examples=max(1, round(examples * TIMES)), deadline=None, database=None, suppress_health_check=health
        )
        return seed(0)(bounded(test))

    return decorate


@pytest.fixture(scope="module", autouse=True)
def _bounded_memory() -> Iterator[None]:
    """All of it takes no more memory at any moment."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[[list[str]], int]:
    """Runs a command on input that may be damaged; returns its exit code."""
    monkeypatch.chdir(tmp_path)
    # Not into the report of the test: names of files that are no text can't be sent from a worker to the controller.
    caplog.set_level(logging.CRITICAL, "hnas_nni")

    def run(arguments: list[str], several: bool = False) -> int:
        code = main(arguments)
        errors = capfd.readouterr().err
        lines = errors.splitlines()
        if code == 0:
            assert lines == []
        else:
            assert code == 2
            assert several or len(lines) == 1
            for line in lines:
                assert re.match(r"hnas [a-z]+: error: \S", line) and len(line) <= LONGEST_LINE and line.isprintable()
        return code

    return run


def as_text(document: Any) -> str:
    """Return JSON, of what may be no document."""
    return json.dumps(document, default=str)


@tried(500)
@given(
    st.one_of(
        damaged_document(HNAS_A.to_dict()).map(as_text).map(str.encode),
        damaged_document(SMALL.to_dict()).map(as_text).map(str.encode),
        damaged_bytes(HNAS_A.to_json().encode()),
        damaged_bytes(SMALL.to_json().encode()),
        VALUES.map(as_text).map(str.encode),
        st.integers(1, 20_000).map(lambda depth: b'{"format": ' + depth * b"[" + depth * b"]" + b"}"),
        st.integers(1, 300).map(lambda depth: as_text(HNAS_A.to_dict() | {"position": nested(depth)}).encode()),
        st.binary(max_size=100),
    )
)
def test_genotypes(run: Callable[[list[str]], int], content: bytes) -> None:
    Path("it.json").write_bytes(content)
    run(["show", "it.json", "--channels", "4"] if b"width" not in content else ["show", "it.json"])


def model() -> bytes:
    """Return the smallest of model files."""
    save(SMALL.build(2), "sound.safetensors")
    return Path("sound.safetensors").read_bytes()


def with_header(sound: bytes, header: Any) -> bytes:
    """Return a model file with another header."""
    (length,) = struct.unpack("<Q", sound[:8])
    text = as_text(header).encode()
    return struct.pack("<Q", len(text)) + text + sound[8 + length :]


@tried(300)
@given(st.data())
def test_model_files(run: Callable[[list[str]], int], data: st.DataObject) -> None:
    if not Path("it.png").exists():
        Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save("it.png")
        model()
    sound = Path("sound.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", sound[:8])
    header = json.loads(sound[8 : 8 + length])
    kind = data.draw(st.sampled_from(["bytes", "header", "metadata", "genotype", "weights"]))
    if kind == "bytes":
        content = data.draw(damaged_bytes(sound, 8 + length))
    elif kind == "header":
        content = with_header(sound, data.draw(damaged_document(header)))
    elif kind == "metadata":
        told = data.draw(damaged_document(header["__metadata__"]))
        content = with_header(sound, header | {"__metadata__": {key: str(value) for key, value in told.items()}})
    elif kind == "genotype":
        genotype = as_text(data.draw(damaged_document(SMALL.to_dict())))
        content = with_header(sound, header | {"__metadata__": header["__metadata__"] | {"genotype": genotype}})
    else:
        content = data.draw(damaged_bytes(sound))
    Path("it.safetensors").write_bytes(content)
    run(["upscale", "it.safetensors", "it.png", "--out", "out", "--force", "--quiet"])


def archives() -> dict[str, bytes]:
    """Return archives of the members that BSD100's have."""
    (archive,) = find_set("BSD100").archives
    names = [f"images/test/{index}.jpg" for index in range(archive.images[""])]
    image = png(0, 4)
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as file, tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        for name in names:
            file.writestr(name, image)
            info = tarfile.TarInfo(name)
            info.size = len(image)
            tar.addfile(info, io.BytesIO(image))
    return {"zip": zipped.getvalue(), "tgz": tarred.getvalue()}


@tried(300)
@given(st.data())
def test_archives(run: Callable[[list[str]], int], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["zip", "tgz"]))
    content = data.draw(st.one_of(damaged_bytes(ARCHIVES[kind]), damaged_bytes(ARCHIVES[kind], 100)))
    Path("sets").mkdir(exist_ok=True)
    Path("sets/BSD100.zip").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    url = ["--url", "https://mirror.example/BSD100.zip", "--sha256", digest]
    run(["data", "fetch", "BSD100", "--out", "sets", "--force", "--quiet", *url])
    assert not [path for path in Path("sets").iterdir() if path.name.endswith(".unpacking")]


def filled(path: Path) -> bytes:
    """Return a database of shared weights."""
    SharedWeights(path, **SIZES).give_back(SETS.build(**SIZES))
    return path.read_bytes()


@tried(200)
@given(st.data())
def test_shared_weights(tmp_path: Path, data: st.DataObject) -> None:
    sound = tmp_path / "sound.sqlite"
    content = sound.read_bytes() if sound.exists() else filled(sound)
    path = tmp_path / "it.sqlite"
    path.write_bytes(content)
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(damaged_bytes(content)))
    else:
        column = data.draw(st.sampled_from(["name", "version", "tensors"]))
        value = data.draw(st.one_of(st.none(), st.integers(-5, 2**63 - 1), st.text(max_size=5), st.binary(max_size=80)))
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA ignore_check_constraints = 1")
            try:
                database.execute(f"UPDATE OR REPLACE units SET {column} = ?", (value,))
            except sqlite3.IntegrityError:  # a version of none
                database.execute("UPDATE units SET version = 'x'")
        database.close()
    network = SETS.build(**SIZES)
    try:
        store = SharedWeights(path, **SIZES)
        store.load_into(network)
        store.give_back(network)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    for leftover in tmp_path.glob("it.sqlite-*"):
        leftover.unlink()


PAIRS = [f"img_{index:03}_SRF_2_{kind}.png" for index in (1, 2) for kind in ("HR", "LR")]
PLAIN = ["a.png", "b.jpg", "c.tif", "d.gif", "A.PNG", "x.webp", "notes.txt", "none", "ax2.png", ".hidden.png"]
FILE_NAMES = st.sampled_from([*PAIRS, *PLAIN, os.fsdecode(b"caf\xe9.png"), "a\nb.png"])
SUBFOLDERS = st.sampled_from([".", ".", "HR", "LR", "image_SRF_2", "X2", "deep/er"])


@tried(100)
@given(st.data())
def test_data_folders(run: Callable[[list[str]], int], data: st.DataObject) -> None:
    number = len(list(Path().iterdir()))
    folder = Path(f"folder{number}")
    folder.mkdir()
    for _ in range(data.draw(st.integers(0, 5))):
        path = folder / data.draw(SUBFOLDERS) / data.draw(FILE_NAMES)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or path.is_symlink():
            continue
        kind = data.draw(st.sampled_from(["sound", "sound", "damaged", "empty", "folder", "circle", "pipe", "bytes"]))
        image = IMAGES[data.draw(st.sampled_from(sorted(IMAGES)))]
        if kind in ("sound", "damaged"):
            path.write_bytes(image if kind == "sound" else data.draw(damaged_bytes(image)))
        elif kind == "folder":
            path.mkdir()
        elif kind == "circle":
            path.symlink_to(path.name)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.write_bytes(b"" if kind == "empty" else data.draw(st.binary(max_size=50)))
    more = data.draw(st.sampled_from([[], ["--json"], ["--scale", "3"]]))
    run(["data", "check", str(folder), *more], several=True)  # a line for each file, or all in the JSON


def encoded(size: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), 100, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


IMAGES = {f"{kind} {size}": encoded(size, kind) for kind in ("PNG", "JPEG", "TIFF", "GIF") for size in (6, 12)}
ARCHIVES = archives()
