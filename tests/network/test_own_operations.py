"""Operations of one's own: the whole of the package knows them, and the paper's architectures stay what they are."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hnas_nni import HNAS_A, Cell, Edge, Genotype, GenotypeError, register_normal, register_upsampling, unregister
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.spaces import EFFICIENT, PAPER
from hnas_nni.cost import cost_table, count
from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.model_file import load, save
from hnas_nni.network.receptive_field import is_local, receptive_radius
from hnas_nni.report import describe, draw_genotype
from hnas_nni.report.palette import contrast, text_colour
from hnas_nni.report.svg import cells_svg, stylesheet
from search_spaces import HNASSpace, search_space_json

SIZES = {"scale": 2, "channels": 4, "layers": 3}
PAPER_NORMAL = candidates(PAPER, "normal")


class LargeDepthwise(nn.Sequential):
    """7x7 depthwise, 1x1."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels), nn.GELU(), nn.Conv2d(channels, channels, 1)
        )


class ResizeConv(nn.Sequential):
    """Nearest neighbour, then 3x3 (distill.pub/2016/deconv-checkerboard)."""

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__(nn.Upsample(scale_factor=scale), nn.Conv2d(channels, channels, 3, padding=1))


@pytest.fixture
def own() -> Iterator[Genotype]:
    """Two operations, and an architecture that uses both."""
    register_normal("large_dw", LargeDepthwise, label="large dw", reach=3)
    register_upsampling("resize_conv", ResizeConv, label="resize + conv", reach=1)
    names = (
        "large_dw",
        "identity",
        "sep_conv_3x3",
        "large_dw",
        "dil_conv_5x5",
        "identity",
        "sep_conv_5x5",
        "dil_conv_3x3",
    )
    normal = Cell(tuple(Edge(name, place % 2) for place, name in enumerate(names)))
    names = ("area", "resize_conv", "subpixel", "nearest", "bilinear", "subpixel", "area", "resize_conv")
    upsampling = Cell(tuple(Edge(name, 3 if place == 7 else place % 2) for place, name in enumerate(names)))
    yield Genotype(normal, upsampling, 2)
    for name in ("large_dw", "resize_conv"):
        unregister(name)


def test_the_space_has_it_and_loses_it(own: Genotype) -> None:
    assert search_space_json(3)["normal/op_4_1"]["_value"] == [*PAPER_NORMAL, "large_dw"]
    space = HNASSpace(**SIZES)
    network = space.freeze(own.to_sample())
    assert isinstance(network.blocks[0].operation(2, 0), LargeDepthwise)
    assert isinstance(network.blocks[1].operation(5, 1), ResizeConv)
    drawn = [Genotype.random(seed) for seed in range(30)]
    assert "large_dw" in {edge.operation for genotype in drawn for edge in genotype.normal.edges}
    unregister("large_dw")
    try:
        assert candidates(PAPER, "normal") == PAPER_NORMAL
        with pytest.raises(GenotypeError, match=r"normal\.2\[0\]\.operation: 'large_dw' is unknown"):
            Genotype(own.normal, own.upsampling, 2)
    finally:
        register_normal("large_dw", LargeDepthwise, label="large dw", reach=3)


def test_files_round_trip(own: Genotype, tmp_path: Path) -> None:
    own.to_json(tmp_path / "own.json")
    assert Genotype.from_json(tmp_path / "own.json") == own
    assert Genotype.from_string(str(own)) == own == Genotype.from_sample(own.to_sample())
    network = own.build(**SIZES)
    save(network, tmp_path / "own.safetensors")
    x = torch.rand(1, 3, 6, 7)
    assert torch.equal(load(tmp_path / "own.safetensors")(x), network(x))


def test_the_cost_is_that_of_every_convolution(own: Genotype) -> None:
    """Added up while the network runs, and by thop."""
    network = own.build(**SIZES)
    macs = 0

    def add(module: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs
        macs += module.weight[0].numel() * output.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    network(torch.zeros(1, 3, 12, 10))
    cost = cost_table(**SIZES, lr_size=(12, 10))(own)
    assert cost == count(own, **SIZES, lr_size=(12, 10))
    assert cost.macs == macs
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())


def test_a_table_from_before_is_not_used() -> None:
    before = cost_table(2, 4, 3)(HNAS_A_3)
    register_normal("large_dw", LargeDepthwise)
    try:
        genotype = Genotype(Cell((Edge("large_dw", 0), *HNAS_A_3.normal.edges[1:])), HNAS_A_3.upsampling, 2)
        assert cost_table(2, 4, 3)(genotype) == count(genotype, 2, 4, 3)
        assert cost_table(2, 4, 3)(HNAS_A_3) == before
    finally:
        unregister("large_dw")


HNAS_A_3 = Genotype(HNAS_A.normal, HNAS_A.upsampling, 2)


def test_it_trains_and_learns(own: Genotype) -> None:
    from hnas_nni.trial import TrialSettings, evaluate
    from hnas_nni.trial.evaluation import Training, TrialResult
    from hnas_nni.trial.reward import JointReward

    sizes = {"layers": 3, "channels": 4, "batch": 4, "patch": 24}
    # So few channels start from torch's weights, which need larger steps than an interpolation.
    settings = TrialSettings(**sizes, steps=60, learning_rate=1e-3, measured_patches=8, reports=2, limit=2)
    reported: list[TrialResult] = []
    _, network = evaluate(own, JointReward(), Training(settings), report=reported.append)
    assert reported[-1].psnr > reported[0].psnr
    start = own.build(**SIZES).blocks[0].operation(2, 0)
    trained = network.blocks[0].operation(2, 0)
    assert all(not torch.equal(*pair) for pair in zip(start.parameters(), trained.parameters(), strict=True))


def test_pictures_and_texts(own: Genotype, tmp_path: Path) -> None:
    assert "large dw(node 0)" in describe(own, 3)
    draw_genotype(own, tmp_path / "own.svg", layers=3)
    assert "large dw" in (tmp_path / "own.svg").read_text()
    pictures = cells_svg(own)
    assert "large dw" in pictures["normal"] and "resize + conv" in pictures["upsampling"]
    assert "var(--hnas-line-large_dw)" in pictures["normal"] and "--hnas-line-large_dw:" in stylesheet()
    rows = [operation for operation in OPERATIONS.values() if operation.space is PAPER]
    colours = {operation.colour for operation in rows}
    assert len(colours) == len({operation.label for operation in rows}) == 14
    for colour in colours:
        assert contrast(colour, text_colour(colour)) > 4.5  # WCAG 2.1, level AA


def test_tiles_know_how_far_it_looks(own: Genotype) -> None:
    """No pixel beyond the radius matters, and one at the reach of the operation does."""
    edges = (Edge("large_dw", 0), Edge("identity", 0)) * 4
    genotype = Genotype(Cell(edges), Cell((Edge("resize_conv", 1), Edge("nearest", 1)) * 4), 2)
    assert is_local(genotype)
    radius = receptive_radius(genotype, 2, 2)
    torch.manual_seed(0)
    network = genotype.build(2, 4, 2).double()
    x = torch.rand(1, 3, 3, 4 * radius + 1, dtype=torch.float64, requires_grad=True)
    middle = 2 * radius
    network(x)[..., 2 * middle : 2 * middle + 2].abs().sum().backward()
    assert x.grad is not None
    columns = np.flatnonzero(x.grad.abs().sum((0, 1, 2)))
    assert columns.min() >= middle - radius and columns.max() <= middle + radius
    assert columns.max() - columns.min() >= 2 * 3
    unregister("large_dw")
    register_normal("large_dw", LargeDepthwise, label="large dw")
    assert not is_local(genotype)


def test_its_first_weights_are_its_own_or_those_of_convolutions(own: Genotype) -> None:
    """By default a constant goes through what is registered nearly as it was; a function of one's own is called."""

    def start() -> nn.Module:
        torch.manual_seed(0)
        network = own.build(2, 6, 3)
        interpolate(network)
        return network.blocks[0].operation(2, 0)

    middle = start()(torch.full((1, 6, 9, 9), 3.0))[..., 4, 4]
    assert ((middle - 3).abs() < 1).all()
    unregister("large_dw")
    register_normal("large_dw", LargeDepthwise, first_weights=lambda module: module[2].weight.zero_())
    assert start()[2].weight.count_nonzero() == 0


def _wrong(channels: int, scale: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "rcab"}, "rcab: there is such an operation already"),
        ({"name": "area"}, "area: there is such an operation already"),
        ({"name": "7x7 conv"}, "name: '7x7 conv' is not valid; give letters"),
        ({"label": "a label that is too long"}, "1 to 15 characters"),
        ({"label": "RCAB"}, "label 'RCAB' is that of another"),
        ({"colour": "red"}, "colour 'red' is not valid; give #rrggbb"),
        ({"colour": "#e8806a"}, "colour #e8806a is that of another"),
        ({"reach": -1}, "reach -1 is not valid"),
        ({"factory": _wrong}, r"turns \(1, 6, 5, 8\) into \(1, 6, 3, 6\) at scale 2; .* gives \(1, 6, 5, 8\)"),
        ({"factory": lambda channels, scale: torch.relu}, "its factory gives a builtin_function_or_method"),
    ],
)
def test_bad_operations_are_refused(arguments: dict[str, object], message: str) -> None:
    before = dict(OPERATIONS)
    with pytest.raises(ValueError, match=message):
        register_normal(**{"name": "mine", "factory": LargeDepthwise, **arguments})  # type: ignore[arg-type]
    assert before == OPERATIONS
    with pytest.raises(ValueError, match="mine: was not registered"):
        unregister("mine")


def test_an_upsampling_operation_must_fit_every_scale() -> None:
    with pytest.raises(ValueError, match=r"at scale 1; an operation of the upsampling cell gives \(1, 6, 5, 8\)"):
        register_upsampling("twice", lambda channels, scale: nn.Upsample(scale_factor=2))


class ResizeOut(nn.Sequential):
    """Nearest neighbour, then 3x3 to the channels that are asked for."""

    def __init__(self, channels: int, scale: int, out: int) -> None:
        given = out if scale == 1 else channels
        super().__init__(nn.Upsample(scale_factor=scale), nn.Conv2d(given, out, 3, padding=1))


@pytest.fixture
def efficient() -> Iterator[Genotype]:
    """Two operations of the efficient space, and an architecture that uses both, at both kinds of edge."""
    register_normal("large_dw", LargeDepthwise, label="identity", reach=3, space="efficient", colour="#88ccee")
    register_upsampling("resize_out", ResizeOut, reach=1, space="efficient")
    normal = Cell((Edge("large_dw", 1), Edge("skip", 2), Edge("conv_3x3", 0)), 1)
    upsampling = Cell((Edge("resize_out", 1), Edge("resize_out", 2)), 1)
    yield Genotype(normal, upsampling, 2, depth=3, width=6, space=EFFICIENT)
    for name in ("large_dw", "resize_out"):
        unregister(name)


@pytest.mark.parametrize("position", [2, 3])
def test_the_efficient_space_takes_operations_too(efficient: Genotype, position: int, tmp_path: Path) -> None:
    """Under a label and in a colour that another space has already."""
    genotype = replace(efficient, position=position)
    assert candidates(PAPER, "normal") == PAPER_NORMAL
    assert candidates(EFFICIENT, "normal")[-1] == "large_dw"
    assert candidates(EFFICIENT, "upsampling")[-1] == "resize_out"
    assert search_space_json(space="efficient")["upsampling/op_2_0"]["_value"][-1] == "resize_out"
    for scale in (2, 3, 4):
        network = genotype.build(scale)
        assert network(torch.rand(1, 3, 6, 7)).shape == (1, 3, 6 * scale, 7 * scale)
        assert cost_table(scale, lr_size=(12, 10))(genotype) == count(genotype, scale, lr_size=(12, 10))
    assert Genotype.from_string(str(genotype)) == genotype == Genotype.from_sample(genotype.to_sample())
    space = HNASSpace(2, space="efficient", layers=3, channels=6)
    sample = {label: value for label, value in genotype.to_sample().items() if label not in ("depth", "width")}
    assert isinstance(space.freeze(sample).blocks[0].ops[0], LargeDepthwise)
    save(genotype.build(2), tmp_path / "own.safetensors")
    assert load(tmp_path / "own.safetensors").genotype == genotype
    # The stem 1, 3 in a block at low resolution and half of it at high, the resize convolutions 1 and a half, the tail
    # a half; in whole pixels.
    assert receptive_radius(genotype, 2, 12) == {2: 8, 3: 9}[position]  # 1 + 3 + 1.5 + 1.5 + 0.5, 1 + 3 + 3 + 1.5
    assert "identity(node 1)" in describe(genotype) and "resize_out(node 1)" in describe(genotype)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "other"}, "mine: space 'other' is not valid; give one of paper, efficient"),
        ({"factory": ResizeConv}, "unexpected keyword argument 'out'"),
        (
            {"factory": lambda channels, scale, out: ResizeConv(channels, scale)},
            r"at scale 2; an operation of the upsampling cell gives \(1, 1, 10, 16\)",
        ),
        ({"name": "area"}, "area: there is such an operation already"),
        ({"label": "sub-pixel 3x3"}, "label 'sub-pixel 3x3' is that of another"),
        ({"colour": "#4b3fa8"}, "colour #4b3fa8 is that of another"),
    ],
)
def test_bad_operations_of_the_efficient_space_are_refused(arguments: dict[str, Any], message: str) -> None:
    before = dict(OPERATIONS)
    with pytest.raises((ValueError, TypeError), match=message):
        register_upsampling(**{"name": "mine", "factory": ResizeOut, "space": "efficient", **arguments})
    assert before == OPERATIONS


def test_published_architectures_are_untouched(own: Genotype) -> None:
    assert count(HNAS_A, lr_size=(48, 48)).params == 974_019
    assert Genotype.from_json(HNAS_A.to_json()) == HNAS_A
    assert isinstance(OPERATIONS["identity"].factory(4, 2), nn.Identity)


@pytest.mark.slow
def test_other_processes_load_it_by_the_variable(tmp_path: Path) -> None:
    """What trials and the hnas command are."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nfrom hnas_nni import Genotype, register_normal\n"
        "register_normal('mine', lambda channels, scale: nn.Conv2d(channels, channels, 1), label='my conv', reach=0)\n"
    )
    genotype = Genotype.random(random.Random(0)).to_json().replace('"rcab"', '"mine"')
    edges = genotype.replace('"identity"', '"mine"')
    assert '"mine"' in edges
    (tmp_path / "mine.json").write_text(edges)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "hnas_nni.cli", "show", str(tmp_path / "mine.json")]

    def show(**variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)

    shown = show(HNAS_OPERATIONS="mine", PYTHONPATH=path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "my conv(node" in shown.stdout
    assert "'mine' is unknown" in show().stderr
    assert "HNAS_OPERATIONS: there is no module mine; put the folder" in show(HNAS_OPERATIONS="mine").stderr
