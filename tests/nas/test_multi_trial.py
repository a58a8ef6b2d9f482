"""NNI's multi-trial strategies search the whole space, and its web page can show it."""

from __future__ import annotations

from typing import Any

import nni
import pytest
from nni.mutable import CategoricalMultiple
from nni.nas import strategy as nni_strategies
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import SimplifiedModelSpace

from hnas_nni import Genotype
from hnas_nni.cost import cost_table
from hnas_nni.network import HNASNetwork
from search_spaces import HNASSpace, decision_labels

CHANNELS = 2
LAYERS = 3


def report_cost(network: HNASNetwork) -> None:
    assert isinstance(network, HNASNetwork)
    nni.report_final_result(-cost_table(2, CHANNELS, LAYERS, (10, 10))(network.genotype).macs)


def make_strategy(name: str) -> Any:
    if name == "PolicyBasedRL":
        return nni_strategies.PolicyBasedRL(trial_per_collect=2)
    if name == "RegularizedEvolution":
        return nni_strategies.RegularizedEvolution(population_size=2, sample_size=1)
    return getattr(nni_strategies, name)()


@pytest.mark.parametrize("name", ["Random", "RegularizedEvolution", "TPE", "PolicyBasedRL"])
def test_strategy_searches_the_space(name: str) -> None:
    evaluator = FunctionalEvaluator(report_cost)
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    strategy = make_strategy(name)
    engine = SequentialExecutionEngine(max_model_count=3)
    strategy(SimplifiedModelSpace.from_model(space, evaluator), engine)
    models = list(engine.list_models())
    assert len(models) >= 3
    for model in models:
        genotype = Genotype.from_sample(model.sample)
        genotype.check_layers(LAYERS)
        assert model.metric == -cost_table(2, CHANNELS, LAYERS, (10, 10))(genotype).macs
    best = next(iter(strategy.list_models(limit=1)))
    assert best.metric == max(model.metric for model in models)


def test_all_choices_have_a_form_for_tuners_and_web_page() -> None:
    """NNI's experiment skips choices that have none, and its TPE stops."""
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    forms = {label: choice.as_legacy_dict() for label, choice in space.simplify().items()}
    assert set(forms) == set(decision_labels())
    sample = Genotype.random(4, layers=LAYERS).to_sample()
    for label, form in forms.items():
        assert form["_type"] == "choice"
        value = sample[label][0] if "/input_" in label else sample[label]
        assert value in form["_value"]
    assert forms["upsampling/input_4_1"]["_value"] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["space", "simplified", "supernet"])
def test_input_picks_are_taken_with_and_without_a_list(name: str) -> None:
    """NNI's tuners hand over the values of the form; NNI's cells ask for one-element lists."""
    space: Any = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    if name == "simplified":
        space = SimplifiedModelSpace.from_model(space)
    elif name == "supernet":
        space = nni_strategies.RandomOneShot().mutate_model(space)
    genotype = Genotype.random(4, layers=LAYERS)
    listed = genotype.to_sample()
    plain = {label: value[0] if isinstance(value, list) else value for label, value in listed.items()}
    for sample in (listed, plain):
        frozen = space.freeze(sample)
        network = frozen.executable_model() if name == "simplified" else frozen
        assert network.genotype == genotype
    for wrong in (2, [2], [0, 1], []):
        assert not space.contains({**plain, "normal/input_2_0": wrong})


def test_nni_has_no_such_form() -> None:
    """If this fails NNI was mended, and InputPick can go."""
    with pytest.raises(NotImplementedError):
        CategoricalMultiple([0, 1], n_chosen=1, label="pick").as_legacy_dict()


def test_input_picks_keep_nnis_finer_form() -> None:
    """Strategies for plain categories ask for one yes or no for each input."""
    space = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)
    fine = space.simplify(lambda choice: not isinstance(choice, CategoricalMultiple))
    genotype = Genotype.random(4, layers=LAYERS)
    sample: dict[str, Any] = {}
    for label, value in genotype.to_sample().items():
        if "/input_" in label:
            node = int(label.split("_")[1])
            sample |= {f"{label}/{source}": source == value[0] for source in range(node)}
        else:
            sample[label] = value
    assert set(sample) <= set(fine)
    assert space.freeze(sample).genotype == genotype
