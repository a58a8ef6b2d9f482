"""Machines for NNI's remote training service: sshds of the test's own on loopback, each with a home folder of its own.

Seen with NNI 3.0 (``training_service/remote_v3``): it connects by ssh, puts ``pythonPath`` in front of PATH, runs
``python -m pip install nni --upgrade`` and starts a keeper of trials, which connects to the manager's web port and
outlives the connection. The machines here have no index of packages: pip then finds that all is installed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from nni_experiment import free_port

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
_PATIENCE = 30.0
_PRIVILEGE_SEPARATION = Path("/run/sshd")


@dataclass
class Machine:
    """A machine that ssh reaches.

    Parameters
    ----------
    folder
        Of its configuration and keys; ``home`` in it is its home folder.
    port
        Of its sshd.
    """

    folder: Path
    port: int
    _sshd: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def home(self) -> Path:
        """What processes on the machine see as the home folder."""
        return self.folder / "home"

    @property
    def key(self) -> Path:
        """The private key that it accepts."""
        return self.folder / "key"

    def to_nni(self) -> dict[str, Any]:
        """Return its entry in NNI's ``machineList``; the environment is that of the tests."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "sshKeyFile": str(self.key),
            "pythonPath": str(Path(sys.executable).parent),
        }

    def prepare(self) -> None:
        """Make keys, home folder and the configuration of its sshd."""
        self.home.mkdir(parents=True)
        for name in ("key", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(self.folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        variables = {"HOME": self.home, "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"}
        if "PYTHONPATH" in os.environ:
            variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
        lines = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "key.pub",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "Subsystem": "sftp internal-sftp",
            "SetEnv": " ".join(f'"{name}={value}"' for name, value in variables.items()),
        }
        (self.folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))

    def start(self) -> None:
        """Start its sshd, and wait until it answers."""
        assert SSHD is not None
        log = self.folder / "sshd.log"
        with log.open("ab") as output:
            command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._sshd = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._sshd.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            time.sleep(0.05)
        raise RuntimeError(f"sshd does not answer:\n{log.read_text()}")

    def kill(self) -> None:
        """Kill all that runs on the machine at once, as a power cut would."""
        doomed = {process.pid: process for process in self._processes()}
        if self._sshd is not None:
            with suppress(psutil.NoSuchProcess):
                sshd = psutil.Process(self._sshd.pid)
                doomed |= {process.pid: process for process in [sshd, *sshd.children(recursive=True)]}
        for process in doomed.values():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(list(doomed.values()), timeout=_PATIENCE)
        if self._sshd is not None:
            self._sshd.wait()

    def _processes(self) -> Iterator[psutil.Process]:
        """Yield what was started on it, whoever is its parent now."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.home):
                    yield process


@contextmanager
def running_machines(folder: Path, number: int) -> Iterator[list[Machine]]:
    """Run so many machines, and end them and all that runs there with the context."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here; install openssh-server")
    machines = [Machine(folder / f"machine{index}", free_port()) for index in range(1, number + 1)]
    made = os.geteuid() == 0 and not _PRIVILEGE_SEPARATION.exists()
    if made:  # of a service that has never run; sshd refuses to start without
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    try:
        for machine in machines:
            machine.prepare()
            machine.start()
        yield machines
    finally:
        for machine in machines:
            machine.kill()
        if made:
            with suppress(OSError):
                _PRIVILEGE_SEPARATION.rmdir()
