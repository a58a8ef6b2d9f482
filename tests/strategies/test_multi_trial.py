"""The space in the forms that NNI's tuners, its web page and its strategies ask for."""

from __future__ import annotations

from typing import Any

import pytest
from nni.mutable import CategoricalMultiple
from nni.nas import strategy as nni_strategies
from nni.nas.space import SimplifiedModelSpace

from hnas_nni import Genotype
from search_spaces import HNASSpace, decision_labels

CHANNELS = 2
LAYERS = 3


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
