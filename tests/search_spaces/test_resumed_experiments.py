"""A NAS experiment that was stopped goes on with every strategy that saves its state."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import nni
import pytest
from nni.nas import strategy as nni_strategies
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.strategy import Strategy

from hnas_nni.cost import cost_table
from hnas_nni.network.network import HNASNetwork
from search_spaces import HNASSpace, MendedNasExperiment
from strategies import HierarchicalRL

LAYERS, BEFORE, AFTER = 3, 3, 5
_UPDATE = {"batch_size": 32, "repeat": 1, "update_times": 1}
STRATEGIES: dict[str, dict[str, Any]] = {
    "Random": {"seed": 1},
    "GridSearch": {"seed": 1},
    "RegularizedEvolution": {"population_size": 2, "sample_size": 2, "seed": 1},
    "TPE": {},
    "PolicyBasedRL": {"samples_per_update": 2, "update_kwargs": _UPDATE},
    "HierarchicalRL": {"hidden_size": 8},
}


def evaluate(network: HNASNetwork) -> None:
    """What a user's function does: report a number."""
    nni.report_final_result(-cost_table(2, 1, LAYERS)(network.genotype).gmacs)


def make(name: str) -> Strategy:
    kind = HierarchicalRL if name == "HierarchicalRL" else getattr(nni_strategies, name)
    strategy: Strategy = kind(**STRATEGIES[name])
    return strategy


def experiment_of(kind: type[NasExperiment], strategy: Strategy, folder: Path, trials: int, id: str) -> NasExperiment:
    config = NasExperimentConfig("sequential", "simplified", max_trial_number=trials)
    config.execution_engine.max_model_count = trials
    config.experiment_working_directory = folder
    space = HNASSpace(scale=2, channels=1, layers=LAYERS)
    return kind(space, FunctionalEvaluator(evaluate), strategy, config, id=id)


def samples_of(strategy: Strategy) -> list[str]:
    return [json.dumps(model.sample, sort_keys=True) for model in strategy.list_models(sort=False)]


def run_first_part(name: str, folder: Path) -> tuple[Strategy, Path]:
    """Run some trials and stop, as a user does; returns the strategy and the file of its state."""
    strategy = make(name)
    experiment = experiment_of(MendedNasExperiment, strategy, folder, BEFORE, "resumed")
    experiment.run()
    experiment.stop()
    return strategy, folder / "resumed" / "checkpoint" / "state.ckpt.torch"


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_stopped_experiment_goes_on_from_the_state_of_its_strategy(name: str, tmp_path: Path, nni_home: Path) -> None:
    before, _ = run_first_part(name, tmp_path)
    state = before.state_dict()
    resumed = make(name)
    experiment = experiment_of(MendedNasExperiment, resumed, tmp_path, AFTER, "resumed")
    experiment.resume()
    experiment.stop()
    more = samples_of(resumed)
    assert len(more) == AFTER - BEFORE  # those before the stop count
    if name == "PolicyBasedRL":
        assert resumed.state_dict()["trajectory_count"] == state["trajectory_count"] + len(more)
    elif name != "TPE":  # these two may come back to an architecture
        assert set(more).isdisjoint(samples_of(before))
    if name == "RegularizedEvolution":
        assert resumed.state_dict()["individual_counter"] == AFTER
    if name == "HierarchicalRL":
        assert resumed.agent.learnt.total() == AFTER


def test_nni_can_not_read_what_it_saved(tmp_path: Path, nni_home: Path) -> None:
    """If this fails NNI or torch was mended, and MendedNasExperiment need not load the state itself."""
    run_first_part("Random", tmp_path)
    experiment = experiment_of(NasExperiment, make("Random"), tmp_path, AFTER, "resumed")
    with pytest.raises(pickle.UnpicklingError):
        experiment.resume()
    experiment.stop()


def test_a_damaged_state_is_named_in_a_line(tmp_path: Path, nni_home: Path) -> None:
    _, file = run_first_part("Random", tmp_path)
    damaged = file.read_bytes()[:100]
    file.write_bytes(damaged)
    experiment = experiment_of(MendedNasExperiment, make("Random"), tmp_path, AFTER, "resumed")
    with pytest.raises(ValueError, match=r"is damaged .*; move it away") as caught:
        experiment.resume()
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    experiment.stop()
    assert file.read_bytes() == damaged
    file.unlink()
    experiment = experiment_of(MendedNasExperiment, make("Random"), tmp_path, AFTER, "resumed")
    experiment.resume()
    experiment.stop()
    assert file.exists()


def test_the_state_of_another_search_is_refused_and_kept(tmp_path: Path, nni_home: Path) -> None:
    _, file = run_first_part("HierarchicalRL", tmp_path)
    saved = file.read_bytes()
    experiment = experiment_of(MendedNasExperiment, HierarchicalRL(hidden_size=9), tmp_path, AFTER, "resumed")
    with pytest.raises(ValueError, match="its controller has hidden_size=8, but this one has 9"):
        experiment.resume()
    experiment.stop()
    assert file.read_bytes() == saved
