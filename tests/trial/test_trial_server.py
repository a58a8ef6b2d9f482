"""Trials that a server runs are those that NNI's own processes would run, in result, death and failure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from options import with_options
from safetensors.torch import load_file
from trial_manager import TrialManager, is_alive, wait_until

from hnas_nni import Genotype
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.trial.server_address import NoServerError, check_same_user, socket_path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers of trials are for Linux")

OPTIONS = [
    *("--channels", "4", "--layers", "3", "--steps", "3", "--batch", "2", "--patch", "24"),
    *("--measured-patches", "4", "--reports", "3", "--threads", "1", "--no-sharing", "--device", "cpu"),
]
LONG = with_options(OPTIONS, "--steps", "100000000")
GENOTYPE = Genotype.random(1, layers=3)
PROBE = """
import os, sys
import torch
from hnas_nni import register_normal
register_normal("probe", lambda channels, scale: torch.nn.Identity())
print("devices", os.environ.get("CUDA_VISIBLE_DEVICES"), "initialised", torch.cuda.is_initialized(), file=sys.stderr)
print("arguments", sys.argv[1:], "folder", os.getcwd(), "process", os.getpid(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that all trials have: a place for sockets, whose paths are short, and one for a module of one's own."""
    modules = tmp_path_factory.mktemp("modules")
    (modules / "probe_operation.py").write_text(PROBE)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield {"TMPDIR": folder, "PYTHONPATH": os.pathsep.join([str(modules), *sys.path[1:]])}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[TrialManager]:
    """A manager with a server: two first trials at once have started it, over what a dead server left."""
    folder = Path(environment["TMPDIR"], f"hnas-trials-{os.geteuid()}")
    folder.mkdir(mode=0o700)
    (folder / "lock").touch()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "shared.socket"))
    manager = TrialManager(tmp_path_factory.mktemp("nni"), "shared", environment, GENOTYPE)
    first = [manager.start(name, *OPTIONS) for name in ("first", "second")]
    for trial in first:
        assert trial.wait() == 0, trial.text("stderr")
    yield manager
    manager.end()


@pytest.mark.slow
def test_two_first_trials_start_one_server_over_what_a_dead_one_left(manager: TrialManager) -> None:
    assert manager.log().count("has imported everything") == 1
    assert manager.log().count(": 0, ") >= 2


@pytest.mark.slow
def test_a_trial_gives_to_the_bit_what_it_gives_without_a_server(manager: TrialManager) -> None:
    served = manager.start("served", *OPTIONS)
    alone = manager.start("alone", *OPTIONS, "--no-server")
    assert (served.wait(), alone.wait()) == (0, 0), alone.text("stderr")
    assert "trial served in" in manager.log() and "trial alone in" not in manager.log()
    assert [found["value"] for found in served.metrics()] == [found["value"] for found in alone.metrics()]
    assert {found["trial_job_id"] for found in served.metrics()} == {"served"}
    weights, others = (load_file(trial.folder / MODEL_FILE) for trial in (served, alone))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    left = [sorted(file.name for file in trial.folder.iterdir()) for trial in (served, alone)]
    assert left[0] == left[1]


@pytest.mark.slow
@pytest.mark.parametrize("killed_by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_trial_dies_with_the_process_that_nni_kills(manager: TrialManager, killed_by: signal.Signals) -> None:
    trial = manager.start(f"killed_{killed_by}", *LONG)
    wait_until(manager.server().children, "the trial's process")
    (process,) = manager.server().children()
    trial.client().send_signal(killed_by)
    wait_until(lambda: not is_alive(process), "the trial's end")
    assert "Traceback" not in trial.text("stderr")
    wait_until(lambda: f"trial {trial.folder.name} in" in manager.log(), "the server's notice")
    assert is_alive(manager.server())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code"), [(["--data", "nowhere"], 2), (["--steps", "many"], 2), (["--help"], 0)], ids=str
)
def test_a_failure_comes_through(manager: TrialManager, options: list[str], code: int) -> None:
    name = f"failed_{options[-1].strip('-')}"
    served = manager.start(name, *with_options(OPTIONS, *options))
    alone = manager.start(f"{name}_alone", *with_options(OPTIONS, *options), "--no-server")
    assert served.wait() == alone.wait() == code
    assert f"trial {name} in" in manager.log()
    for stream in ("stdout", "stderr"):
        assert served.text(stream) == alone.text(stream)


@pytest.mark.slow
def test_a_trial_finds_its_own_place(manager: TrialManager, tmp_path: Path) -> None:
    """Devices, folder and modules of one's own are the trial's, not those of who started the server."""
    options = with_options(OPTIONS, "--steps", "0")  # refused when all that is to be seen has been
    variables = {"CUDA_VISIBLE_DEVICES": "5", "HNAS_OPERATIONS": "probe_operation", "NNI_CODE_DIR": str(tmp_path)}
    trial = manager.start("place", *options, **variables)
    assert trial.wait() == 2
    devices, place, _ = trial.text("stderr").splitlines()
    assert devices == "devices 5 initialised False"
    assert place.startswith(f"arguments {options} folder {tmp_path} process ")
    assert f"trial place in process {place.split()[-1]}: 2" in manager.log()


@pytest.mark.slow
def test_a_trial_of_another_environment_runs_by_itself(manager: TrialManager) -> None:
    trial = manager.start("other", *with_options(OPTIONS, "--steps", "0"), OMP_NUM_THREADS="17")
    assert trial.wait() == 2
    assert trial.text("stderr").startswith("hnas trial: runs without a server: OMP_NUM_THREADS: not as where")


@pytest.mark.slow
def test_nothing_outlives_server_and_manager(tmp_path: Path, environment: dict[str, str]) -> None:
    manager = TrialManager(tmp_path, "short", environment, GENOTYPE)
    trial = manager.start("long", *LONG)
    wait_until(lambda: (trial.folder / "trial.log").exists(), "the trial's begin")
    server = manager.server()
    (process,) = server.children()
    server.kill()
    wait_until(lambda: not is_alive(process), "the trial's end")
    assert trial.wait() == 1
    assert "the server that ran this trial was killed" in trial.text("stderr")

    again = manager.start("again", *LONG)
    wait_until(lambda: (again.folder / "trial.log").exists(), "the trial's begin, by another server")
    server = manager.server()
    manager.end()
    assert is_alive(again.client()) and is_alive(server)  # as without a server
    again.client().kill()
    wait_until(lambda: not is_alive(server), "the server's end")
    assert not Path(environment["TMPDIR"], f"hnas-trials-{os.geteuid()}", "short.socket").exists()


def test_a_server_ends_when_nothing_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = (
        "import os, socket; from hnas_nni.trial.server import Server\n"
        "listener = socket.socket(socket.AF_UNIX); listener.bind('idle.socket'); listener.listen()\n"
        "Server(listener, os.getppid(), idle=0.01).run()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not list(tmp_path.iterdir())


def test_without_a_manager_above_a_trial_runs_by_itself(environment: dict[str, str]) -> None:
    variables = {"NNI_PLATFORM": "local", "NNI_EXP_ID": "orphan"}
    trial = subprocess.run(
        [sys.executable, "-m", "hnas_nni.trial", "--steps", "0"],
        env={**os.environ, **environment, **variables},
        capture_output=True,
        text=True,
    )
    assert trial.returncode == 2
    reason, error = trial.stderr.splitlines()
    assert reason == (
        "hnas trial: runs without a server: the manager of experiment orphan has not started this process"
    )
    assert error.startswith("hnas trial: error: --steps: 0 is not valid")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    mine = Path(socket_path("mine")).parent
    assert mine.stat().st_mode & 0o777 == 0o700
    mine.chmod(0o755)
    with pytest.raises(NoServerError, match="not a folder of this user alone"):
        socket_path("mine")
    mine.rename(tmp_path / "elsewhere").chmod(0o700)
    mine.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoServerError, match="not a folder of this user alone"):
        socket_path("mine")
    another = os.geteuid() + 1
    (tmp_path / f"hnas-trials-{another}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(NoServerError, match="not a folder of this user alone"):
        socket_path("mine")


def test_a_process_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    with here, there:
        check_same_user(here)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(NoServerError, match="is at the other end"):
            check_same_user(here)


def test_the_process_that_nni_starts_loads_the_standard_library_alone() -> None:
    code = (
        "import sys, hnas_nni.trial.client\n"
        "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    finished = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=_importing())
    assert set(finished.stdout.split()) <= {"__main__", "__mp_main__", "hnas_nni", "lazy_loader"}, finished.stderr


@pytest.mark.slow
def test_the_server_imports_what_a_trial_needs_and_starts_no_threads() -> None:
    """Of either space; each trial is forked from the server, which has loaded all before."""
    code = (
        "import os, sys, threading; from hnas_nni.trial.server_imports import load; load()\n"
        "from hnas_nni.trial.server_preparation import prepare\n"
        f"prepare({OPTIONS}); assert threading.active_count() == 1\n"
        "before = set(sys.modules)\n"
        "for space in ('paper', 'efficient'):\n"
        "    if os.fork() == 0:\n"
        "        from hnas_nni.trial.__main__ import main\n"
        f"        code = main([*{OPTIONS}, '--genotype', space, '--output', os.path.join(sys.argv[1], space)])\n"
        "        new = [name for name in set(sys.modules) - before if name.partition('.')[0] != 'torch']\n"
        "        print(space, code, *new, file=sys.stderr, flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        finished = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    said = [line for line in finished.stderr.splitlines() if line.startswith(("paper", "efficient"))]
    assert said == ["paper 0", "efficient 0"], finished.stderr


def _importing() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
