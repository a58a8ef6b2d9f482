"""The network that a genotype builds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Cell, Edge, Genotype
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.network.normal_operations import ResidualChannelAttentionBlock


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("layers", [2, 5])
def test_any_size_comes_out_scaled(scale: int, layers: int) -> None:
    for seed in range(4):
        network = Genotype.random(seed, layers).build(scale, channels=3, layers=layers)
        for height, width in ((1, 1), (7, 4)):
            assert network(torch.rand(2, 3, height, width)).shape == (2, 3, scale * height, scale * width)


@pytest.mark.parametrize("name", candidates(PAPER, "upsampling"))
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_upsampling_operations_scale_exactly(name: str, scale: int) -> None:
    x = torch.rand(1, 4, 5, 7)
    y = OPERATIONS[name].factory(4, scale)(x)
    assert y.shape == (1, 4, 5 * scale, 7 * scale)
    if name != "deconv" and scale == 1:
        assert y is x


@pytest.mark.parametrize("name", candidates(PAPER, "normal"))
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_normal_operations_keep_the_size(name: str, scale: int) -> None:
    assert OPERATIONS[name].factory(6, scale)(torch.rand(1, 6, 5, 9)).shape == (1, 6, 5, 9)


def test_all_the_deconv_kernel_reaches_every_output_pixel() -> None:
    """A kernel smaller than the stride would leave gaps that no input reaches."""
    for scale in (2, 3, 4):
        deconv = OPERATIONS["deconv"].factory(1, scale)
        nn.init.ones_(deconv.weight)
        nn.init.zeros_(deconv.bias)
        assert (deconv(torch.ones(1, 1, 4, 4)) > 0).all()


def test_separable_and_dilated_convolutions_by_hand() -> None:
    """The same composed of torch's functions alone."""
    x = torch.randn(2, 5, 9, 8)
    separable = OPERATIONS["sep_conv_5x5"].factory(5, 2)
    weights = [layer.weight for layer in separable if isinstance(layer, nn.Conv2d)]
    y = x
    for depthwise, pointwise in (weights[:2], weights[2:]):
        y = F.conv2d(F.conv2d(F.relu(y), depthwise, padding=2, groups=5), pointwise)
    assert torch.allclose(separable(x), y, atol=1e-6)
    dilated = OPERATIONS["dil_conv_3x3"].factory(5, 2)
    depthwise, pointwise = (layer.weight for layer in dilated if isinstance(layer, nn.Conv2d))
    y = F.conv2d(F.conv2d(F.relu(x), depthwise, padding=2, dilation=2, groups=5), pointwise)
    assert torch.allclose(dilated(x), y, atol=1e-6)


def test_rcab_is_the_input_where_its_attention_is_off() -> None:
    block = ResidualChannelAttentionBlock(6, 2)
    nn.init.zeros_(block.attention[3].weight)
    nn.init.constant_(block.attention[3].bias, -1e4)  # sigmoid of it is 0
    x = torch.randn(1, 6, 5, 5)
    assert torch.equal(block(x), x)


def test_a_small_network_by_hand() -> None:
    """Three blocks written out with torch's functions alone: order of inputs, states behind the upsampling, mean."""
    genotype = Genotype(
        normal=Cell(
            (Edge("identity", 0), Edge("identity", 1), *(Edge("identity", 2),) * 2) + (Edge("identity", 1),) * 4
        ),
        upsampling=Cell((Edge("nearest", 0), Edge("nearest", 1)) + (Edge("bilinear", 2), Edge("nearest", 1)) * 3),
        position=2,
    )
    network = genotype.build(scale=2, channels=2, layers=3)
    weights = dict(network.named_parameters())
    x = torch.rand(1, 3, 4, 5)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)

    def reduce(block: int, which: int, state: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.relu(state), weights[f"blocks.{block}.preprocessor.{which}.1.weight"])

    def normal(block: int, second_last: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        a, b = reduce(block, 0, second_last), reduce(block, 1, last)
        two = a + b
        return torch.cat([two, two + two, b + b, b + b], dim=1)

    stem = F.conv2d(x - mean, weights["stem.conv.weight"], padding=1)
    first = normal(0, stem, stem)
    a, b = (F.interpolate(reduce(1, i, state), scale_factor=2) for i, state in enumerate((stem, first)))
    two = a + b
    up = torch.cat([two, two + b, two + b, two + b], dim=1)
    last = normal(2, up, up)
    expected = F.conv2d(last, weights["tail.conv.weight"], weights["tail.conv.bias"], padding=1) + mean
    assert torch.allclose(network(x), expected, atol=1e-6)


@pytest.mark.parametrize(("genotype", "params"), [(HNAS_A, 974_019), (HNAS_B, 2_141_290), (HNAS_C, 2_542_545)])
def test_parameters_of_the_published_networks(genotype: Genotype, params: int) -> None:
    with torch.device("meta"):
        network = genotype.build()
    assert sum(parameter.numel() for parameter in network.parameters()) == params


def test_every_block_is_computed_once() -> None:
    network = Genotype.random(3, layers=4).build(channels=2, layers=4)
    calls = []
    for index, block in enumerate(network.blocks):
        block.register_forward_hook(lambda *_, index=index: calls.append(index))
    network(torch.rand(1, 3, 4, 4))
    assert calls == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"scale": 5}, "scale: 5"), ({"channels": 0}, "channels: 0"), ({"layers": 1}, "layers: 1")],
)
def test_sizes_out_of_range_are_named(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genotype.random(0, layers=2).build(**sizes)
