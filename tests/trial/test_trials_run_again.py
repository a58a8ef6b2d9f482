"""A trial that NNI runs again although it had reported: one result, one set of weights, one entry in the policy."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nni.runtime import trial_command_channel
from nni.runtime.trial_command_channel import TrialCommandChannel, set_default_trial_command_channel

from hnas_nni import Genotype
from hnas_nni.network.model_header import MODEL_FILE
from hnas_nni.trial.__main__ import main
from search_spaces import search_space_json
from strategies import HierarchicalTuner

LAYERS = 3
OPTIONS = [
    *("--channels", "4", "--layers", str(LAYERS), "--steps", "2", "--batch", "2", "--patch", "24"),
    *("--measured-patches", "4", "--reports", "1", "--threads", "1", "--device", "cpu"),
]


class Killed(BaseException):
    """What ends a trial at once, after its report."""


class Channel(TrialCommandChannel):
    """NNI's side of a trial."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.final: list[dict[str, Any]] = []
        self.kills = True

    def receive_parameter(self) -> Any:
        return {"parameter_id": 0, "parameters": self.parameters}

    def send_metric(self, type: Any, parameter_id: Any, trial_job_id: str, sequence: int, value: Any) -> None:
        if type == "FINAL":
            self.final.append(json.loads(value) if isinstance(value, str) else value)
            if self.kills:
                raise Killed


@pytest.fixture
def tuner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HierarchicalTuner:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path / "checkpoint"))
    tuner = HierarchicalTuner()
    tuner.update_search_space(search_space_json(LAYERS))
    return tuner


@pytest.fixture
def channel(tuner: HierarchicalTuner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "trial"))
    channel = Channel(tuner.generate_parameters(0))
    set_default_trial_command_channel(channel)
    yield channel
    monkeypatch.setattr(trial_command_channel, "_channel", None)


def versions(store: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(store)) as database:
        return sorted(database.execute("SELECT name, version FROM units"))


def test_one_result_one_set_of_weights_one_entry(tuner: HierarchicalTuner, channel: Channel, tmp_path: Path) -> None:
    store = tmp_path / "weights.sqlite"
    command = [*OPTIONS, "--shared-weights", str(store)]
    with pytest.raises(Killed):
        main(command)
    tuner.receive_trial_result(0, channel.parameters, channel.final[0])
    model, learnt = (tmp_path / "trial" / MODEL_FILE).read_bytes(), versions(store)

    channel.kills = False
    assert main(command) == 0
    first, second = channel.final
    assert first == second
    assert (tmp_path / "trial" / MODEL_FILE).read_bytes() == model
    assert versions(store) == learnt
    # NNI hands the result of a trial of an earlier session to the resumed tuner as imported data.
    resumed = HierarchicalTuner()
    resumed.update_search_space(search_space_json(LAYERS))
    resumed.import_data([{"parameter": channel.parameters, "value": second}])
    assert dict(resumed._learnt) == dict(tuner._learnt) and resumed._learnt.total() == 1


def test_another_architecture_in_the_same_folder_is_evaluated(
    tuner: HierarchicalTuner, channel: Channel, tmp_path: Path
) -> None:
    channel.kills = False
    for number in (0, 1):
        assert main([*OPTIONS, "--shared-weights", str(tmp_path / "weights.sqlite")]) == 0
        expected = Genotype.from_sample(channel.parameters)
        assert Genotype.from_string(channel.final[number]["genotype"]) == expected
        channel.parameters = tuner.generate_parameters(1)
    assert channel.final[0]["genotype"] != channel.final[1]["genotype"]
