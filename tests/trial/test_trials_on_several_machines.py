"""What a trial says on a machine whose files the next trial may not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from nni.runtime import trial_command_channel
from nni.runtime.trial_command_channel import TrialCommandChannel, set_default_trial_command_channel

from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.trial.__main__ import main
from hnas_nni.trial.parameters import WEIGHTS_AT, Stage
from hnas_nni.trial.shared_weights import FILE_NAME, SharedWeights
from hnas_nni.trial.weights_server import WeightsServer

EXPERIMENT = "AbC12xyz"
OPTIONS = ["--layers", "3", "--channels", "2", "--steps", "2", "--batch", "2", "--patch", "24", "--limit", "2"]
OPTIONS += ["--measured-patches", "2", "--reports", "1", "--threads", "1", "--device", "cpu"]


class Channel(TrialCommandChannel):
    """NNI's side of a trial."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.final: list[dict[str, Any]] = []

    def receive_parameter(self) -> Any:
        return {"parameter_id": 0, "parameters": self.parameters}

    def send_metric(self, type: Any, parameter_id: Any, trial_job_id: str, sequence: int, value: Any) -> None:
        if type == "FINAL":
            self.final.append(json.loads(value) if isinstance(value, str) else value)


@pytest.fixture
def common(tmp_path: Path) -> Iterator[str]:
    """The address of weights that the machines have in common, kept in the folder ``manager``."""
    folder = tmp_path / "manager"
    folder.mkdir()
    server = WeightsServer(folder, "127.0.0.1", 0, "token")
    yield f"127.0.0.1:{server.port}/token"
    server.close()


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    monkeypatch.setenv("NNI_PLATFORM", "remote")
    monkeypatch.setattr("nni.get_experiment_id", lambda: EXPERIMENT)
    channel = Channel()
    set_default_trial_command_channel(channel)
    yield channel
    monkeypatch.setattr(trial_command_channel, "_channel", None)


def run(channel: Channel, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Run a trial in a folder as NNI has it on a machine."""
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(folder))
    channel.final.clear()
    return main([*OPTIONS, *options])


def test_weights_in_a_file_of_one_machine_are_refused(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    channel.parameters = Genotype.random(1, layers=3).to_sample()
    assert run(channel, tmp_path / "trial", monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "each machine would have for itself" in line and "--no-sharing" in line
    assert run(channel, tmp_path / "trial", monkeypatch, "--no-sharing") == 0
    assert len(channel.final) == 1


def test_a_stage_goes_on_where_another_machine_left_off(
    channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = Genotype.random(3, space=EFFICIENT).to_sample()
    channel.parameters = sample | Stage(1, 2).to_nni()
    assert run(channel, tmp_path / "machine 1", monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the next stage may run on another machine; give --stages DIR" in line
    common = tmp_path / "common"
    for number, machine in ((1, "machine 1"), (2, "machine 2")):
        channel.parameters = sample | Stage(number, 2).to_nni()
        assert run(channel, tmp_path / machine, monkeypatch, "--stages", str(common)) == 0
        assert channel.final[0]["steps"] == 2 * number
    assert [path.relative_to(common).parts[0] for path in common.glob("*/*/*")] == [EXPERIMENT] * 2


def test_weights_in_common_are_those_of_one_folder(
    channel: Channel, common: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the digit: successive halving over two machines by way of the manager, and in a folder that both see."""
    sample = Genotype.random(3, space=EFFICIENT).to_sample()
    results = []
    for added, options in (({WEIGHTS_AT: common}, []), ({}, ["--stages", str(tmp_path / "common")])):
        for number in (1, 2):
            channel.parameters = sample | Stage(number, 2).to_nni() | added
            assert run(channel, tmp_path / f"machine {number} {len(added)}", monkeypatch, *options) == 0
        results.append(channel.final[0])
    assert results[0] == results[1]
    kept, seen = (sorted(path.glob("**/stages/*.pt")) for path in (tmp_path / "manager", tmp_path / "common"))
    assert [path.name for path in kept] == [path.name for path in seen] and len(kept) == 2
    assert not list(tmp_path.glob("machine*/stages/*.pt"))  # machines keep no copies


def test_machines_share_weights(channel: Channel, common: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a trial learnt on one machine the next starts from on another, to the digit as in one file."""
    channel.parameters = Genotype.random(1, layers=3).to_sample()
    shared = []
    for name, options in (("common", []), ("file", ["--shared-weights", str(tmp_path / "one.sqlite")])):
        channel.parameters.pop(WEIGHTS_AT, None)
        channel.parameters |= {WEIGHTS_AT: common} if name == "common" else {}
        psnrs = []
        for machine in (1, 2):
            assert run(channel, tmp_path / f"{name} {machine}", monkeypatch, *options) == 0
            psnrs.append(channel.final[0]["psnr"])
        shared.append(psnrs)
    assert shared[0] == shared[1] and shared[0][0] != shared[0][1]
    sizes = {"scale": 2, "channels": 2, "layers": 3}
    stores = [SharedWeights(path, **sizes) for path in (tmp_path / "manager" / FILE_NAME, tmp_path / "one.sqlite")]
    networks = [Genotype.random(1, layers=3).build(**sizes) for _ in stores]
    assert [store.load_into(network) for store, network in zip(stores, networks, strict=True)] == [len(stores[0])] * 2
    for one, other in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.equal(one, other)
