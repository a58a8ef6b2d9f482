"""The space in NNI's mutables describes exactly the architectures that genotypes describe."""

from __future__ import annotations

import nni
import pytest
import torch
from nni.mutable import Categorical, CategoricalMultiple, SampleValidationError
from nni.nas.space import SimplifiedModelSpace, model_context

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.network.network import HNASNetwork
from search_spaces import HNASSpace, decision_labels

LAYERS = 4
CHANNELS = 4


@pytest.fixture(scope="module", params=[2, 3, 4], ids="x{}".format)
def space(request: pytest.FixtureRequest) -> HNASSpace:
    return HNASSpace(scale=request.param, channels=CHANNELS, layers=LAYERS)


def assert_same(module: torch.nn.Module, other: torch.nn.Module) -> None:
    torch.testing.assert_close(module.state_dict(), other.state_dict(), rtol=0, atol=0)


def genotypes(count: int = 6) -> list[Genotype]:
    return [Genotype.random(seed, layers=LAYERS) for seed in range(count)]


def test_choices_are_those_of_the_paper(space: HNASSpace) -> None:
    choices = space.simplify()
    expected: dict[str, list[object]] = {"upsample_position": [1, 2, 3, 4]}
    for cell, operations in (
        (
            "normal",
            [
                "identity",
                "dil_conv_3x3",
                "dil_conv_5x5",
                "sep_conv_3x3",
                "sep_conv_5x5",
                "up_down_projection",
                "rcab",
            ],
        ),
        ("upsampling", ["area", "bilinear", "nearest", "deconv", "subpixel"]),
    ):
        for node in (2, 3, 4, 5):
            for slot in (0, 1):
                expected[f"{cell}/op_{node}_{slot}"] = operations
                expected[f"{cell}/input_{node}_{slot}"] = list(range(node))
    assert {label: list(choice.values) for label, choice in choices.items()} == expected
    assert set(decision_labels()) == set(expected)
    for label, choice in choices.items():
        if "/input_" in label:
            assert isinstance(choice, CategoricalMultiple)
            assert choice.n_chosen == 1
        else:
            assert isinstance(choice, Categorical)


def test_random_samples_are_genotypes_and_back(space: HNASSpace) -> None:
    seen = set()
    for _ in range(5):
        sample: dict[str, object] = {}
        network = space.random(sample)
        genotype = Genotype.from_sample(sample)
        assert genotype.to_sample() == sample
        assert network.genotype == genotype
        assert space.contains(sample)
        seen.add(genotype)
    assert len(seen) > 1


@pytest.mark.slow
@pytest.mark.parametrize("genotype", genotypes(), ids=lambda genotype: f"position{genotype.position}")
def test_frozen_network_is_that_of_the_genotype(space: HNASSpace, genotype: Genotype) -> None:
    frozen = space.freeze(genotype.to_sample())
    built = genotype.build(space.scale, CHANNELS, LAYERS)
    assert list(frozen.state_dict()) == list(built.state_dict())
    x = torch.rand(1, 3, 10, 12)
    built.load_state_dict(frozen.state_dict())
    assert torch.equal(frozen(x), built(x))
    assert frozen(x).shape == (1, 3, 10 * space.scale, 12 * space.scale)
    fresh = genotype.build(space.scale, CHANNELS, LAYERS)
    frozen.load_state_dict(fresh.state_dict())
    assert torch.equal(frozen(x), fresh(x))
    assert not any(isinstance(module, nni.mutable.Mutable) for module in frozen.modules())


@pytest.mark.slow
@pytest.mark.parametrize("genotype", genotypes(4), ids=lambda genotype: f"position{genotype.position}")
@pytest.mark.parametrize("name", ["normal", "upsampling"])
def test_samples_mean_what_nni_takes_them_to_mean(space: HNASSpace, name: str, genotype: Genotype) -> None:
    """NNI's own frozen Cell, with the same weights, computes what the genotype's block computes."""
    ours = next(
        block
        for block, kind in zip(
            genotype.build(space.scale, CHANNELS, LAYERS).blocks,
            ["upsampling" if place == genotype.position else "normal" for place in range(1, LAYERS + 1)],
            strict=True,
        )
        if kind == name
    )
    theirs = getattr(space.blocks, name)[0].freeze(genotype.to_sample())
    theirs.load_state_dict(ours.state_dict())
    states = [torch.rand(1, 4 * CHANNELS, 6, 7) for _ in range(2)]
    torch.testing.assert_close(theirs(states), ours(states))


@pytest.mark.parametrize("genotype", genotypes(3), ids=lambda genotype: f"position{genotype.position}")
def test_frozen_network_keeps_the_weights_of_the_space(space: HNASSpace, genotype: Genotype) -> None:
    frozen = space.freeze(genotype.to_sample())
    state = frozen.state_dict()
    assert torch.equal(state["stem.conv.weight"], space.stem.conv.weight)
    assert torch.equal(state["tail.conv.bias"], space.tail.conv.bias)
    for place, block in enumerate(frozen.blocks):
        name = "upsampling" if place + 1 == genotype.position else "normal"
        cell = getattr(space.blocks, name)[place]
        assert_same(block.preprocessor, cell.preprocessor)
        for node, slot, edge in getattr(genotype, name).slots():
            if name == "upsampling" and edge.source >= 2:
                continue  # another operation than the space's candidate, see HNASSpace.freeze
            assert_same(block.ops[node - 2][slot], cell.ops[node - 2][slot][edge.operation])
    before = {key: weight.clone() for key, weight in space.state_dict().items()}
    for parameter in frozen.parameters():
        parameter.data.zero_()
    assert all(torch.equal(weight, before[key]) for key, weight in space.state_dict().items())


def test_blocks_freeze_on_their_own(space: HNASSpace) -> None:
    sample = Genotype.random(3, layers=LAYERS).to_sample()
    blocks, whole = space.blocks.freeze(sample), space.freeze(sample).blocks
    assert list(blocks.state_dict()) == list(whole.state_dict())
    assert blocks.position == sample["upsample_position"]
    x = torch.rand(1, 4 * CHANNELS, 5, 5)
    assert blocks(x).shape == whole(x).shape == (1, 4 * CHANNELS, 5 * space.scale, 5 * space.scale)


@pytest.mark.slow
@pytest.mark.parametrize("genotype", [HNAS_A, HNAS_B, HNAS_C], ids="ABC")
def test_published_architectures_are_in_the_space(genotype: Genotype) -> None:
    with torch.device("meta"):
        space = HNASSpace(scale=2, channels=8, layers=12)
    assert space.contains(genotype.to_sample())


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("upsample_position", 0),
        ("upsample_position", LAYERS + 1),
        ("upsample_position", None),
        ("normal/op_2_0", "area"),
        ("upsampling/op_5_1", "rcab"),
        ("normal/input_2_0", [2]),
        ("upsampling/input_5_1", [5]),
        ("normal/input_4_1", [0, 1]),
        ("normal/input_4_1", []),
    ],
)
def test_values_outside_the_space_are_refused(space: HNASSpace, label: str, value: object) -> None:
    sample = {**Genotype.random(1, layers=LAYERS).to_sample(), label: value}
    assert not space.contains(sample)
    for freeze in (space.freeze, space.blocks.freeze):
        with pytest.raises(SampleValidationError):
            freeze(sample)
    field = "position" if label == "upsample_position" else label.split("/")[0]
    with model_context(sample), pytest.raises(SampleValidationError, match=field):
        HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)


@pytest.mark.parametrize("label", ["normal/op_3_1", "upsampling/input_4_0", "upsample_position"])
def test_missing_labels_are_refused(space: HNASSpace, label: str) -> None:
    sample = Genotype.random(1, layers=LAYERS).to_sample()
    del sample[label]
    with pytest.raises(SampleValidationError, match=label):
        space.freeze(sample)
    with model_context(sample), pytest.raises(SampleValidationError, match=label):
        HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS)


def test_labels_of_an_evaluator_are_left_alone(space: HNASSpace) -> None:
    genotype = Genotype.random(2, layers=LAYERS)
    sample = {**genotype.to_sample(), "learning_rate": 1e-3}
    assert space.freeze(sample).genotype == genotype
    with model_context(sample):
        assert HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS).genotype == genotype


def test_a_trial_rebuilds_the_network_from_its_description(space: HNASSpace) -> None:
    """NNI sends a trial the frozen space as text, not the modules."""
    genotype = Genotype.random(5, layers=LAYERS)
    description = nni.dump(SimplifiedModelSpace.from_model(space).freeze(genotype.to_sample()))
    network = nni.load(description).executable_model()
    assert type(network) is HNASNetwork
    assert (network.genotype, network.scale) == (genotype, space.scale)
    assert (network.channels, network.layers) == (CHANNELS, LAYERS)


def test_dry_run_upscales(space: HNASSpace) -> None:
    assert space(torch.rand(2, 3, 6, 5)).shape == (2, 3, 6 * space.scale, 5 * space.scale)
    assert isinstance(space.default(), HNASNetwork)


@pytest.mark.slow
def test_frozen_network_follows_dtype_and_mode(space: HNASSpace) -> None:
    sample = Genotype.random(7, layers=LAYERS).to_sample()
    other = HNASSpace(scale=2, channels=CHANNELS, layers=LAYERS).double().eval()
    network = other.freeze(sample)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
    assert not network.training
    assert space.freeze(sample).training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, "scale: 5"),
        ({"channels": 0}, "channels: 0"),
        ({"layers": 1}, "layers: 1"),
        ({"layers": 2.5}, "layers: 2.5"),
    ],
)
def test_bad_sizes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HNASSpace(**arguments)
