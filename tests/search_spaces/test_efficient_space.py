"""The efficient space in NNI's mutables: depth and width are choices as well, and supernets are of one C and L."""

from __future__ import annotations

from typing import Any

import nni
import numpy as np
import pytest
import torch
from nni.mutable import SampleValidationError
from nni.nas import strategy as nni_strategies
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from nni.nas.profiler.pytorch.flops import FlopsProfiler, NumParamsProfiler
from nni.nas.space import SimplifiedModelSpace, model_context

from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import count
from hnas_nni.network.efficient_network import EfficientNetwork
from search_spaces import HNASSpace, decision_labels, search_space_json, search_space_path, search_space_text
from search_spaces.__main__ import main

CHANNELS = 5
LAYERS = 4
DEPTHS = [2, 3, 4, 5, 6, 7, 8, 9]
WIDTHS = [*range(8, 25), 26, 28, 30, 32, 36, 40, 44, 48, 56, 64]


@pytest.fixture(scope="module")
def space() -> HNASSpace:
    """The space with its sizes."""
    return HNASSpace(scale=2, space="efficient")


@pytest.fixture(scope="module", params=[2, 3, 4], ids="x{}".format)
def one_size(request: pytest.FixtureRequest) -> HNASSpace:
    return HNASSpace(request.param, CHANNELS, LAYERS, space="efficient")


def draw(space: HNASSpace, number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Samples as NNI's Random strategy draws them: each choice on its own."""
    rng = np.random.RandomState(seed)
    choices = space.simplify()
    return [{label: choice.random(random_state=rng) for label, choice in choices.items()} for _ in range(number)]


def take(supernet: HNASSpace, sample: dict[str, Any]) -> None:
    for module in supernet.modules():
        if isinstance(module, BaseSuperNetModule):
            module.resample(sample)


def test_choices(space: HNASSpace) -> None:
    expected: dict[str, list[object]] = {"depth": DEPTHS, "width": WIDTHS, "upsample_position": list(range(1, 10))}
    normal, upsampling = ["skip", "conv_3x3", "collapsible_3x3"], ["sub_pixel_3x3", "sub_pixel_1x1"]
    for cell, nodes, operations in (("normal", (2, 3, 4), normal), ("upsampling", (2, 3), upsampling)):
        for node in nodes:
            expected[f"{cell}/op_{node}_0"] = operations
            expected[f"{cell}/input_{node}_0"] = list(range(node))
    assert {label: list(choice.values) for label, choice in space.simplify().items()} == expected
    labels = decision_labels(EFFICIENT)
    assert set(labels) == set(expected)
    assert labels[:2] == ("normal/input_2_0", "normal/op_2_0") and labels[-3:] == (
        "depth",
        "width",
        "upsample_position",
    )


def test_the_file_for_nnictl_is_the_space(capsys: pytest.CaptureFixture[str]) -> None:
    path = search_space_path(space="efficient")
    assert path.read_text(encoding="utf-8") == search_space_text(search_space_json(space="efficient"))
    assert tuple(search_space_json(space="efficient")) == decision_labels(EFFICIENT)
    assert main(["--space", "efficient", "--layers", "3"]) == 0
    shown = capsys.readouterr().out
    assert '"depth"' not in shown and '"upsample_position": {"_type": "choice", "_value": [1, 2, 3]}' in shown
    with pytest.raises(FileNotFoundError, match="--space efficient --layers 3 --out FILE"):
        search_space_path(3, "efficient")
    assert main(["--space", "other"]) == 2
    assert "space: 'other'" in capsys.readouterr().err


def test_random_samples_are_genotypes(space: HNASSpace) -> None:
    seen = set()
    for sample in draw(space, 30):
        assert space.contains(sample)
        genotype = Genotype.from_sample(sample)
        assert (genotype.depth, genotype.width) == (sample["depth"], sample["width"])
        assert genotype.position == min(sample["upsample_position"], sample["depth"])
        seen.add(genotype)
    assert len(seen) == 30
    for _ in range(3):
        drawn: dict[str, Any] = {}
        network = space.random(drawn)
        assert network.genotype == Genotype.from_sample(drawn)


def test_freeze_builds_the_network_of_the_genotype(space: HNASSpace) -> None:
    x = torch.rand(1, 3, 7, 6)
    for sample in draw(space, 4, seed=1):
        genotype = Genotype.from_sample(sample)
        network = space.freeze(sample)
        assert isinstance(network, EfficientNetwork)
        assert (network.genotype, network.layers, network.channels) == (genotype, genotype.depth, genotype.width)
        built = genotype.build(2)
        built.load_state_dict(network.state_dict())
        assert torch.equal(network(x), built(x)) and network(x).shape == (1, 3, 14, 12)
        assert not any(isinstance(module, nni.mutable.Mutable) for module in network.modules())


@pytest.mark.parametrize("position", [2, 3])
def test_shared_weights_begin_like_those_of_a_network(position: int) -> None:
    """Both are drawn from even distributions, whose ends the largest of many weights come close to."""
    sample = draw(HNASSpace(2, 32, 3, space="efficient"), 1, seed=position)[0] | {"upsample_position": position}
    sample |= {f"normal/op_{node}_0": "conv_3x3" for node in (2, 3, 4)} | {"upsampling/input_2_0": [1]}
    frozen = HNASSpace(2, 32, 3, space="efficient").freeze(sample)
    built = Genotype.from_sample(sample).build(2, 32, 3)
    large = [name for name, weight in built.named_parameters() if weight.numel() > 500]
    assert len(large) > 5
    for name in large:
        ends = [float(network.get_parameter(name).abs().max()) for network in (frozen, built)]
        assert ends[0] == pytest.approx(ends[1], rel=0.05), name


def test_a_trial_rebuilds_the_network_from_its_description(space: HNASSpace, one_size: HNASSpace) -> None:
    (sample,) = draw(space, 1, seed=3)
    network = nni.load(nni.dump(SimplifiedModelSpace.from_model(space).freeze(sample))).executable_model()
    assert network.genotype == Genotype.from_sample(sample)
    (sample,) = draw(one_size, 1, seed=3)
    network = nni.load(nni.dump(SimplifiedModelSpace.from_model(one_size).freeze(sample))).executable_model()
    assert network.genotype == Genotype.from_sample(sample)
    assert (network.scale, network.channels, network.layers) == (one_size.scale, CHANNELS, LAYERS)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("depth", 10),
        ("depth", None),
        ("width", 25),
        ("upsample_position", 10),
        ("upsample_position", 0),
        ("normal/op_2_0", "rcab"),
        ("normal/input_4_0", [4]),
    ],
)
def test_values_outside_the_space_are_refused(space: HNASSpace, label: str, value: object) -> None:
    (sample,) = draw(space, 1)
    sample |= {"depth": 9, label: value}
    assert not space.contains(sample)
    with pytest.raises(SampleValidationError):
        space.freeze(sample)
    field = {"upsample_position": "position"}.get(label, label.split("/")[0])
    with model_context(sample), pytest.raises(SampleValidationError, match=field):
        HNASSpace(scale=2, space="efficient")


@pytest.mark.parametrize("label", ["depth", "width", "upsample_position", "normal/op_3_0"])
def test_missing_labels_are_refused(space: HNASSpace, label: str) -> None:
    (sample,) = draw(space, 1)
    del sample[label]
    with pytest.raises(SampleValidationError, match=label):
        space.freeze(sample)
    with model_context(sample), pytest.raises(SampleValidationError, match=label):
        HNASSpace(scale=2, space="efficient")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"normalization": "mean"}, "normalization: 'mean' is for the paper's space alone; leave it out"),
        ({"normalization": "batch"}, "normalization: 'batch' is for the paper's space alone"),
        ({"channels": 1}, "channels: 1 is not valid; the efficient space needs at least 2"),
        ({"layers": 1}, "layers: 1"),
        ({"space": "other"}, "space: 'other' is not valid; give one of paper, efficient"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HNASSpace(**{"scale": 2, "space": "efficient", **arguments})


@pytest.mark.parametrize("name", ["RandomOneShot", "ENAS"])
def test_a_path_of_a_supernet_is_the_network_of_its_genotype(one_size: HNASSpace, name: str) -> None:
    torch.manual_seed(0)
    strategy = getattr(nni_strategies, name)(**({"reward_metric_name": "default"} if name == "ENAS" else {}))
    supernet = strategy.mutate_model(HNASSpace(one_size.scale, CHANNELS, LAYERS, space="efficient"))
    x = torch.rand(2, 3, 8, 7)
    positions = set()
    for sample in draw(one_size, 12, seed=one_size.scale):
        take(supernet, sample)
        network = supernet.freeze(sample)
        positions.add(network.genotype.position)
        assert network.genotype == supernet.active_genotype() == Genotype.from_sample(sample)
        torch.testing.assert_close(supernet(x), network(x), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(supernet.freeze(sample).state_dict(), network.state_dict(), rtol=0, atol=0)
    assert LAYERS in positions and len(positions) > 2  # with a tail and without


@pytest.mark.parametrize("name", ["DARTS", "GumbelDARTS", "Proxyless"])
def test_strategies_that_mix_cells_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: can't mix cells whose loose ends are added; .* sample") as caught:
        getattr(nni_strategies, name)().mutate_model(HNASSpace(2, CHANNELS, LAYERS, space="efficient"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [{}, {"layers": 3}, {"channels": 8}])
def test_a_supernet_is_of_one_size(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="one depth and width; give HNASSpace"):
        nni_strategies.RandomOneShot().mutate_model(HNASSpace(2, space="efficient", **sizes))


@pytest.mark.parametrize("sizes", [{}, {"layers": 3}, {"channels": 8}, {"channels": 8, "layers": 3}])
@pytest.mark.parametrize("scale", [2, 3])
def test_profilers_state_the_cost_of_every_architecture(scale: int, sizes: dict[str, int]) -> None:
    space = HNASSpace(scale, space="efficient", **sizes)
    x = torch.rand(1, 3, 6, 10)
    flops, parameters = FlopsProfiler(space, x), NumParamsProfiler(space, x)
    for sample in draw(space, 8, seed=scale):
        cost = count(Genotype.from_sample(sample), scale, **sizes, lr_size=(6, 10))
        assert flops.profile(sample) == cost.macs
        assert parameters.profile(sample) == cost.params
