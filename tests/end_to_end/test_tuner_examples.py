"""The configurations for NNI's own tuners: NNI takes them, and each tuner proposes architectures of the space."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from miniature_search import final_metrics, miniature_config
from nni.algorithms.hpo.tpe_tuner import TpeTuner as NniTpeTuner
from nni.experiment.config import ExperimentConfig
from nni.tools.package_utils import create_builtin_class_instance, create_customized_class_instance
from nni_experiment import RunExperiment
from repository import REPOSITORY

from hnas_nni import Genotype
from hnas_nni.trial.__main__ import _parser
from hnas_nni.trial.parameters import TrialParameters
from search_spaces.compat.tpe_tuner import TpeTuner

CONFIGS = sorted((REPOSITORY / "examples" / "tuners").glob("*.yml"))
ROUNDS = 12


def load(path: Path, folder: Path) -> ExperimentConfig:
    config = ExperimentConfig.load(path)
    config.experiment_working_directory = str(folder)
    return config.canonical_copy()


def make_tuner(config: Any) -> Any:
    """Make a tuner as NNI's dispatcher does."""
    if config.name:
        return create_builtin_class_instance(config.name, config.class_args, "tuners")
    return create_customized_class_instance(
        {"codeDirectory": config.code_directory, "className": config.class_name, "classArgs": config.class_args}
    )


def test_there_is_one_for_each_tuner_that_runs() -> None:
    tuners = {"anneal", "evolution", "grid_search", "hierarchical", "random", "tpe", "tpe_legacy"}
    assert {path.stem for path in CONFIGS} == tuners


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_tuner_proposes_architectures_of_the_space(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))  # NNI adds the code directory
    config = load(path, tmp_path)
    words = shlex.split(config.trial_command)
    assert words[:3] == ["python", "-m", "hnas_nni.trial"]
    options = _parser().parse_args(words[3:])
    space = json.loads(Path(config.search_space_file).read_text())
    assert space["upsample_position"]["_value"] == list(range(1, options.layers + 1))
    tuner = make_tuner(config.tuner)
    tuner.update_search_space(space)
    proposed = []
    for number in range(ROUNDS):
        parameters = tuner.generate_parameters(number)
        given = TrialParameters.from_nni(parameters)
        given.genotype.check_layers(options.layers)
        # Either the tuner says what lambda is, or the trial's command does.
        assert (given.reward.weight if given.reward else options.weight) == 0.6
        proposed.append(given.genotype)
        tuner.receive_trial_result(number, parameters, {"default": float(given.genotype.position), "psnr": 30.0})
        tuner.trial_end(number, True)
    assert len(set(proposed)) > ROUNDS / 2


def test_tpe_learns_what_is_rewarded() -> None:
    """Its default is to minimise, and the configuration must say that this is not wanted."""
    config = ExperimentConfig.load(REPOSITORY / "examples" / "tuners" / "tpe.yml")
    tuner = TpeTuner(**config.tuner.class_args)
    tuner.update_search_space(json.loads((REPOSITORY / "search_spaces" / "hnas_6_layers.json").read_text()))
    positions = []
    for number in range(100):
        position = Genotype.from_sample(tuner.generate_parameters(number)).position
        tuner.receive_trial_result(number, None, {"default": float(position)})
        tuner.trial_end(number, True)
        positions.append(position)
    assert sum(positions[-30:]) / 30 > sum(positions[:20]) / 20 + 1


def mix_up(tuner: NniTpeTuner) -> None:
    """Tell of two trials what NNI tells when they started at the same moment: the end of the other one first."""
    tuner.update_search_space({"upsample_position": {"_type": "choice", "_value": [1, 2, 3]}})
    given = {number: tuner.generate_parameters(number) for number in (0, 1)}
    for result, end in ((1, 0), (0, 1)):
        tuner.receive_trial_result(result, given[result], {"default": 1.0 + result})
        tuner.trial_end(end, True)


def test_tpe_takes_results_of_trials_that_nni_mixed_up() -> None:
    tuner = TpeTuner(optimize_mode="maximize", seed=0)
    mix_up(tuner)
    (history,) = tuner._history.values()
    assert sorted(record.loss for record in history) == [-2.0, -1.0]
    assert not tuner._running_params


def test_nnis_tpe_needs_the_mend() -> None:
    """If this fails NNI was mended, and search_spaces.compat.tpe_tuner can go."""
    with pytest.raises(KeyError):
        mix_up(NniTpeTuner(optimize_mode="maximize", seed=0))


def test_search_with_tpe_by_nnictl(run_experiment: RunExperiment, tmp_path: Path) -> None:
    config = miniature_config(tmp_path, trials=2)
    tuner = ExperimentConfig.load(REPOSITORY / "examples" / "tuners" / "tpe.yml").tuner
    config["tuner"] = {
        "className": tuner.class_name,
        "codeDirectory": str(tmp_path),
        "classArgs": dict(tuner.class_args),
    }
    with run_experiment(tmp_path, config) as experiment:
        experiment.wait("DONE")
        metrics = final_metrics(experiment)
    assert len(metrics) == 2
    for metric in metrics.values():
        assert Genotype.from_string(metric["genotype"]).position <= 3
