"""What else people do with a running search by nnictl: change the space, export, import, stop trials early."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from miniature_search import final_metrics, policy_history
from nni_experiment import RunExperiment, RunningExperiment, nnictl
from small_spaces import choice
from trial_manager import wait_until

from hnas_nni.trial.reward import JointReward

OPERATIONS = ("conv", "pool", "skip")
_TRIAL = '''
"""A trial whose figures follow from its architecture; it waits for "go", and for being stopped if it is to be."""
import json, os, statistics, time
from pathlib import Path
import nni
from hnas_nni.trial.reward import JointReward
OPERATIONS = ("conv", "pool", "skip")
parameters = nni.get_next_parameter()
psnr = 30.0 + 2 * OPERATIONS.index(parameters["cell/op"]) + parameters["depth"] / 4
gmacs = float(parameters["depth"])
reward = JointReward(parameters["lambda"], parameters["cost_scale"])
result = {"psnr": psnr, "gmacs": gmacs, "default": reward(psnr, gmacs)}
folder = Path("FOLDER")
while int(os.environ["NNI_TRIAL_SEQ_ID"]) >= FREE and not (folder / "go").exists():
    time.sleep(0.1)
for step in range(3):
    nni.report_intermediate_result(result)
done = folder / "done"
before = [float(line) for line in done.read_text().splitlines()] if done.exists() else []
if STOPS and before and result["default"] < statistics.median_low(before):
    time.sleep(120)
with done.open("a") as file:
    file.write(f"{result['default']}\\n")
nni.report_final_result(result)
'''


def figures(sample: dict[str, Any]) -> tuple[float, float]:
    """PSNR and GMAC of an architecture, as its trial reports them."""
    return 30.0 + 2 * OPERATIONS.index(sample["cell/op"]) + sample["depth"] / 4, float(sample["depth"])


def space_of(depths: int) -> dict[str, Any]:
    return {"cell/op": choice(*OPERATIONS), "depth": choice(*range(1, depths + 1))}


def config_of(folder: Path, space: dict[str, Any], weight: float, free: int, stops: bool) -> dict[str, Any]:
    folder.mkdir()
    trial = _TRIAL.replace("FOLDER", str(folder)).replace("FREE", str(free)).replace("STOPS", str(stops))
    (folder / "trial.py").write_text(trial)
    return {
        "searchSpace": space,
        "trialCommand": f"{sys.executable} trial.py",
        "trialConcurrency": 2,
        "maxTrialNumber": 100,
        "tuner": {
            "className": "strategies.HierarchicalTuner",
            "codeDirectory": str(folder),
            "classArgs": {"lambda": weight, "seed": 0, "hidden_size": 8},
        },
    }


def tried(experiment: RunningExperiment) -> list[tuple[str, int]]:
    """The architectures that NNI was given."""
    parameters = [json.loads(trial["hyperParameters"][0])["parameters"] for trial in experiment.trials()]
    return sorted((given["cell/op"], given["depth"]) for given in parameters)


@pytest.fixture(scope="module")
def exported(run_experiment: RunExperiment, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What NNI exports of a search of six architectures that has tried them all, and that this fixture looks at.

    Its space is changed while it runs, and after that everything is killed and resumed.
    """
    folder = tmp_path_factory.mktemp("exported") / "search"
    space = space_of(2)
    with run_experiment(folder, config_of(folder, space, 0.2, free=2, stops=False)) as experiment:
        experiment.wait_for_trials(2)
        other = folder / "other.json"
        other.write_text(json.dumps(space_of(4)))
        nnictl(experiment.home, "update", "searchspace", experiment.id, "--filename", str(other))

        def restored() -> bool:
            return experiment.rest("experiment")["params"]["searchSpace"] == space

        log = experiment.directory / "log" / "dispatcher.log"
        wait_until(lambda: "can't change during a search" in log.read_text(), "a word on the change")
        wait_until(restored, "the space of before in NNI's configuration")
        experiment.kill()
        experiment.resume()
        assert restored()
        (folder / "go").touch()
        experiment.wait("DONE")
        assert tried(experiment) == sorted((name, depth) for name in OPERATIONS for depth in (1, 2))
        file = folder / "exported.json"
        nnictl(experiment.home, "experiment", "export", experiment.id, "--filename", str(file), "--type", "json")
        assert len(final_metrics(experiment)) == 6
        records: list[dict[str, Any]] = json.loads(file.read_text())
        return records


def test_a_space_that_is_exhausted_ends_the_experiment_whatever_becomes_of_it(exported: list[dict[str, Any]]) -> None:
    assert len(exported) == 6


def test_what_is_imported_and_what_is_stopped_early_teaches(
    exported: list[dict[str, Any]], run_experiment: RunExperiment, tmp_path: Path
) -> None:
    folder = tmp_path / "search"
    config = config_of(folder, space_of(4), 0.9, free=0, stops=True)
    config |= {"assessor": {"name": "Medianstop", "classArgs": {"start_step": 2}}, "trialConcurrency": 1}
    foreign = [
        {"parameter": {"learning_rate": 0.1}, "value": 0.93},
        {"parameter": {**exported[0]["parameter"], "dropout": 0.5}, "value": json.dumps({"default": 9})},
    ]
    with run_experiment(folder, config) as experiment:
        file = folder / "records.json"
        file.write_text(json.dumps([foreign[0], *exported, foreign[1]]))
        nnictl(experiment.home, "experiment", "import", experiment.id, "--filename", str(file))
        log = experiment.directory / "log" / "dispatcher.log"
        wait_until(lambda: log.read_text().count("is none of this search and is left out") == 2, "two warnings")
        (folder / "go").touch()
        experiment.wait("DONE")
        trials = experiment.trials()
        # The first one was proposed before the import.
        assert 6 <= len(trials) <= 7
        assert len(set(tried(experiment))) == len(trials)
        statuses = [trial["status"] for trial in trials]
        assert set(statuses) == {"SUCCEEDED", "USER_CANCELED"}  # as NNI's local service calls what it stops

        reward = JointReward(0.9)
        mine = [json.loads(trial["hyperParameters"][0])["parameters"] for trial in trials]
        learnt = [reward(*figures(sample)) for sample in [*mine, *(record["parameter"] for record in exported)]]
        assert sorted(line["reward"] for line in policy_history(experiment)) == pytest.approx(sorted(learnt))
        assert "failed; the policy does not learn" not in log.read_text()
        (terminal,) = (path for path in (experiment.directory / "log").glob("*stdout*"))
        lines = terminal.read_text(errors="replace").splitlines()
        assert sum(line.endswith("stopped early") for line in lines) == statuses.count("USER_CANCELED")
        assert any("2 of 8 results are none of this search" in line for line in lines)
