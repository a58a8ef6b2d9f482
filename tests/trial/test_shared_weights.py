"""Parameter sharing between processes: what is shared, concurrency, kills, bounds."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch
from full_disk import no_room
from lively_networks import without_noise

from hnas_nni import HNAS_A, Cell, Edge, Genotype
from hnas_nni.network.first_weights import interpolate
from hnas_nni.trial.shared_weights import SharedWeights

SIZES = {"scale": 2, "channels": 4, "layers": 3}


def _filled(genotype: Genotype, value: float):
    network = genotype.build(**SIZES)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def _store(tmp_path: Path) -> SharedWeights:
    return SharedWeights(tmp_path / "shared.sqlite", **SIZES)


GENOTYPE = Genotype.random(5, layers=3)


def test_the_next_trial_starts_where_the_last_one_ended(tmp_path) -> None:
    _store(tmp_path).give_back(_filled(GENOTYPE, 0.25))
    network = _filled(GENOTYPE, 9.0)
    assert _store(tmp_path).load_into(network) > 0
    assert all((parameter == 0.25).all() for parameter in network.parameters())


def test_only_equal_operations_at_equal_places_are_shared(tmp_path) -> None:
    _store(tmp_path).give_back(_filled(GENOTYPE, 0.25))
    cell = [Edge("sep_conv_3x3", edge.source) for edge in GENOTYPE.normal.edges]
    cell[0] = GENOTYPE.normal.edges[0]._replace(source=1 - GENOTYPE.normal.edges[0].source)
    other = Genotype(Cell(tuple(cell)), GENOTYPE.upsampling, GENOTYPE.position)
    network = _filled(other, 9.0)
    _store(tmp_path).load_into(network)
    for index, block in enumerate(network.blocks, start=1):
        if index == other.position:
            continue
        for (node, slot, new), (_, _, old) in zip(other.normal.slots(), GENOTYPE.normal.slots(), strict=True):
            for parameter in block.operation(node, slot).parameters():
                assert (parameter == (0.25 if new.operation == old.operation else 9.0)).all()


def test_a_moved_upsampling_cell_has_weights_of_its_own(tmp_path) -> None:
    deconv = Cell(tuple(Edge("deconv", edge.source) for edge in HNAS_A.upsampling.edges))
    first, second = (Genotype(HNAS_A.normal, deconv, position) for position in (1, 2))
    _store(tmp_path).give_back(_filled(first, 0.25))
    network = _filled(second, 9.0)
    _store(tmp_path).load_into(network)
    assert (network.blocks[1].operation(2, 0).weight == 9.0).all()
    assert (network.stem.conv.weight == 0.25).all()
    # Block 3 is a normal cell in both.
    assert (network.blocks[2].preprocessor[0][1].weight == 0.25).all()


def test_trials_at_the_same_time_are_averaged_and_later_ones_replace(tmp_path) -> None:
    one, two = _store(tmp_path), _store(tmp_path)
    one.load_into(_filled(GENOTYPE, 0.0))
    two.load_into(_filled(GENOTYPE, 0.0))
    one.give_back(_filled(GENOTYPE, 1.0))
    two.give_back(_filled(GENOTYPE, 2.0))
    network = _filled(GENOTYPE, 9.0)
    three = _store(tmp_path)
    three.load_into(network)
    assert all((parameter == 1.5).all() for parameter in network.parameters())
    three.give_back(_filled(GENOTYPE, 5.0))
    _store(tmp_path).load_into(network)
    assert all((parameter == 5.0).all() for parameter in network.parameters())


@pytest.mark.parametrize("seed", range(5))
def test_what_reads_a_node_fits_however_many_paths_lead_there(tmp_path, seed) -> None:
    """A colour stays what it is in a network whose weights come from one that is wired in another way."""
    sizes = {**SIZES, "channels": 6}
    networks = [Genotype.random(number, layers=3).build(**sizes) for number in (seed, seed + 100)]
    for network in networks:
        interpolate(without_noise(network))
    store = SharedWeights(tmp_path / "shared.sqlite", **sizes)
    store.give_back(networks[0])
    assert store.load_into(networks[1]) > 2
    colour = torch.tensor([0.3, 0.6, 0.8]).view(1, 3, 1, 1)
    with torch.no_grad():
        for name, parameter in networks[1].named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        middle = networks[1](colour.expand(1, 3, 40, 40))[..., 30:50, 30:50]
    torch.testing.assert_close(middle, colour.expand_as(middle), atol=1e-4, rtol=0)


def test_size_is_bounded_by_the_space(tmp_path) -> None:
    store = _store(tmp_path)
    for seed in range(3):
        store.give_back(Genotype.random(seed, 3).build(**SIZES))
    units, size = len(store), store.path.stat().st_size
    for _ in range(5):
        for seed in range(3):
            store.give_back(Genotype.random(seed, 3).build(**SIZES))
    assert len(store) == units
    assert store.path.stat().st_size <= size * 1.2


def test_other_sizes_and_other_files_are_refused(tmp_path) -> None:
    _store(tmp_path)
    with pytest.raises(ValueError, match=r"holds weights for scale, channels, layers = \(2, 4, 3\), not \(2, 8, 3\)"):
        SharedWeights(tmp_path / "shared.sqlite", scale=2, channels=8, layers=3)
    (tmp_path / "text").write_text("not a database, but long enough to be read as one\n" * 20)
    with pytest.raises(ValueError, match="text: can't be used for shared weights"):
        SharedWeights(tmp_path / "text", **SIZES)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        SharedWeights(tmp_path / "none" / "shared.sqlite", **SIZES)


_WRITERS = """
import os, sys, torch, traceback
from hnas_nni import Genotype
from hnas_nni.trial.shared_weights import SharedWeights
torch.set_num_threads(1)

def write(rounds):
    network = Genotype.random(5, layers=3).build(scale=2, channels=4, layers=3)
    store = SharedWeights(sys.argv[1], scale=2, channels=4, layers=3)
    for value in range(rounds):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(1.0 + value)
        store.load_into(Genotype.random(5, layers=3).build(scale=2, channels=4, layers=3))
        store.give_back(network)
        if value == 0:
            os.write(1, f"ready {os.getpid()}\\n".encode())  # in one piece
    os.write(1, b"done\\n")

for line in sys.stdin:  # a process for each number of rounds
    if os.fork() == 0:
        try:
            write(int(line))
        except BaseException:
            os.write(1, b"failed " + traceback.format_exc().replace("\\n", " | ").encode() + b"\\n")
        os._exit(0)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""
"""Starts writers, which have what it has imported: torch takes longer to load than they live."""


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that starts a writer for each line with a number of rounds."""
    command = [sys.executable, "-c", _WRITERS, str(tmp_path / "shared.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for writer in psutil.Process(process.pid).children():
                    writer.kill()


@pytest.mark.slow
def test_killed_writers_leave_one_whole_state(tmp_path: Path, writers: subprocess.Popen[str]) -> None:
    """kill -9 in the middle of writing: all units carry the same value, as one transaction wrote them."""
    assert writers.stdin is not None and writers.stdout is not None
    for delay in (0.05, 0.11, 0.17):
        print(10**9, file=writers.stdin, flush=True)
        ready, number = writers.stdout.readline().split(maxsplit=1)
        assert ready == "ready", number
        writer = psutil.Process(int(number))
        time.sleep(delay)
        assert writer.status() != psutil.STATUS_ZOMBIE
        writer.kill()
        while writer.is_running() and writer.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        network = GENOTYPE.build(**SIZES)
        _store(tmp_path).load_into(network)
        values = {value for parameter in network.parameters() for value in parameter.detach().flatten().tolist()}
        assert len(values) == 1


@pytest.mark.slow
def test_writers_side_by_side_all_get_through(tmp_path: Path, writers: subprocess.Popen[str]) -> None:
    output, _ = writers.communicate("15\n" * 3)
    words = [line.split()[0] for line in output.splitlines()]
    assert sorted(words) == ["done"] * 3 + ["ready"] * 3
    network = GENOTYPE.build(**SIZES)
    assert _store(tmp_path).load_into(network) == len(_store(tmp_path))


def _damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE units SET tensors = x'00'",
        "UPDATE units SET tensors = 'text'",
        "UPDATE units SET tensors = 5",
        "UPDATE units SET version = 'one'",
        "UPDATE units SET version = 9223372036854775807",
        "UPDATE units SET tensors = (SELECT tensors FROM units WHERE name = 'tail')",
        "UPDATE units SET tensors = substr(tensors, 1, length(tensors) - 4)",
        "DROP TABLE units",
        "ALTER TABLE units DROP COLUMN version",
    ],
)
def test_damaged_units_are_named_with_their_file(tmp_path: Path, statement: str) -> None:
    store = _store(tmp_path)
    store.give_back(_filled(GENOTYPE, 0.25))
    _damage(store.path, statement)
    for use in (store.load_into, store.give_back):
        with pytest.raises(ValueError, match=r"shared\.sqlite: .*remove .*, and sharing starts anew"):
            use(_filled(GENOTYPE, 9.0))


def test_what_sqlite_says_of_a_damaged_schema_may_be_no_text(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.give_back(_filled(GENOTYPE, 0.25))
    content = store.path.read_bytes()
    at = content.index(b"CREATE TABLE units")
    store.path.write_bytes(content[:at] + b"CREATE T\xf5BLE" + content[at + 12 :])
    with pytest.raises(ValueError, match=r"shared\.sqlite: .*remove .*, and sharing starts anew"):
        store.load_into(_filled(GENOTYPE, 9.0))


def test_a_full_disk_keeps_what_was_stored(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.give_back(_filled(GENOTYPE, 0.25))
    with no_room(), pytest.raises(ValueError, match=r"shared\.sqlite: can't be used for shared weights \("):
        store.give_back(_filled(GENOTYPE, 9.0))
    network = _filled(GENOTYPE, 9.0)
    assert _store(tmp_path).load_into(network) > 0
    assert all((parameter == 0.25).all() for parameter in network.parameters())
