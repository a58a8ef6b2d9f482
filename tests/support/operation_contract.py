"""What holds for every operation of the table: ``python operation_contract.py NAME`` checks it in its own process."""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lively_networks import lively_network

import hnas_nni
from hnas_nni import Cell, Edge, Genotype
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.spaces import EFFICIENT, PAPER
from hnas_nni.cost import cost_table, count
from hnas_nni.data import load_pairs
from hnas_nni.inference import NetworkModel, enlarge
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.first_weights import interpolate
from hnas_nni.network.receptive_field import is_local, receptive_radius
from hnas_nni.report import describe, draw_genotype
from hnas_nni.report.svg import cells_svg, stylesheet
from hnas_nni.settings import SCALES
from search_spaces import HNASSpace, search_space_path
from search_spaces.__main__ import main as search_spaces_command

LAYERS = 3
_PLAIN = {
    "paper": {"normal": "identity", "upsampling": "nearest"},
    "efficient": {"normal": "skip", "upsampling": "sub_pixel_1x1"},
}


def check_operation(name: str) -> None:
    """Run all that the package does with an operation; AssertionError where it does not hold."""
    drawn = random_genotype(name)
    only = only_genotype(name)
    check_forms(drawn)
    for scale in SCALES:
        check_network(name, drawn, scale)
        check_reach(only, scale)
        check_tiles(only, scale)
    check_first_weights(only)
    check_space(name, drawn)
    check_texts_and_pictures(name, drawn)


def random_genotype(name: str) -> Genotype:
    """Draw until the operation is in the architecture, where it reads an input of its cell."""
    row = OPERATIONS[name]
    assert name in candidates(row.space, row.cell)
    rng = random.Random(0)
    for _ in range(100):
        genotype = replace(Genotype.random(rng, LAYERS, row.space), depth=None, width=None)
        if genotype.position > LAYERS:
            continue
        if name in {edge.operation for edge in getattr(genotype, row.cell).edges if edge.source < 2}:
            return genotype
    raise AssertionError(f"{name} is never drawn")


def only_genotype(name: str) -> Genotype:
    """Every edge of its cell has the operation, from an input or the node before; those of the other do little."""
    space = OPERATIONS[name].space
    used = _PLAIN[space.name] | {OPERATIONS[name].cell: name}
    cells = {}
    for cell, shape in space.shapes.items():
        sources = [source for node in shape.nodes for source in (0, node - 1)[-shape.edges_per_node :]]
        cells[cell] = Cell(tuple(Edge(used[cell], source) for source in sources), shape.edges_per_node)
    return Genotype(position=2, space=space, **cells)


def check_forms(genotype: Genotype) -> None:
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert Genotype.from_string(str(genotype)) == Genotype.from_sample(genotype.to_sample()) == genotype


def check_network(name: str, genotype: Genotype, scale: int) -> None:
    sizes = {"scale": scale, "channels": 4, "layers": LAYERS}
    assert genotype.build(**sizes)(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)
    for architecture in (genotype, only_genotype(name)):
        assert cost_table(**sizes, lr_size=(12, 10))(architecture) == count(architecture, **sizes, lr_size=(12, 10))


def check_reach(genotype: Genotype, scale: int) -> None:
    """NaN in one LR pixel spreads to exactly what depends on it; a kernel may look to one side only."""
    if not is_local(genotype):
        return
    radius = receptive_radius(genotype, scale, LAYERS)
    centre = radius + 3
    image = torch.zeros(1, 3, 2 * centre + 1, 2 * centre + 1)
    image[..., centre, centre] = torch.nan
    channels = 1 if genotype.space is PAPER else 4
    with torch.inference_mode():
        touched = genotype.build(scale, channels, LAYERS)(image)[0, 0].isnan().nonzero() // scale
    measured = int((touched - centre).abs().max())
    assert measured <= radius <= measured + 1, (scale, radius, measured)


def check_tiles(genotype: Genotype, scale: int) -> None:
    photo = (load_pairs("embedded:photos", 2, limit=1)[0].lr[:50, :41] / 255).astype(np.float32)
    model = NetworkModel(lively_network(genotype, scale, LAYERS))
    assert model.is_local == is_local(genotype)
    if model.is_local:
        np.testing.assert_allclose(enlarge(photo, model, 13), enlarge(photo, model, None), atol=2e-6)


def check_first_weights(genotype: Genotype) -> None:
    """Before any training the network is close to an interpolation of a photograph."""
    pair = load_pairs("embedded:photos", 2, limit=1)[0]
    low, high = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (pair.lr, pair.hr))
    low, high = low[..., :32, :32].float() / 255, high[..., :64, :64]
    torch.manual_seed(0)
    network = genotype.build(2, 8, LAYERS)
    with torch.inference_mode():
        before = float(psnr_y_batch(network(low), high, 2))
        if genotype.space is EFFICIENT:  # as it is built
            assert before > 19
            return
        interpolate(network)
        after = float(psnr_y_batch(network(low), high, 2))
    assert after > max(before + 3, 19), (before, after)


def check_space(name: str, genotype: Genotype) -> None:
    """NNI's space samples it and freezes to it, and the search-space files for nnictl have it."""
    of = genotype.space
    more = {"out": 4} if of is EFFICIENT and OPERATIONS[name].cell == "upsampling" else {}
    made = type(OPERATIONS[name].factory(4, 2, **more))
    for normalization in ("none", "mean") if of is PAPER else ("none",):
        space = HNASSpace(2, 8, LAYERS, normalization=normalization, space=of.name)
        network = space.freeze(genotype.to_sample())
        assert network.genotype == genotype and any(type(module) is made for module in network.modules())
        assert network(torch.rand(1, 3, 6, 6)).shape == (1, 3, 12, 12)
        space.freeze(space.random().genotype.to_sample())
    for layers in (6, 12) if of is PAPER else (None,):
        file = search_space_path(layers, of.name)
        assert f'"{name}"' in file.read_text(encoding="utf-8")
        sizes = [] if layers is None else ["--layers", str(layers)]
        assert search_spaces_command(["--space", of.name, *sizes, "--check", str(file)]) == 0


def check_texts_and_pictures(name: str, genotype: Genotype) -> None:
    row = OPERATIONS[name]
    assert f"{row.label}(node" in describe(genotype, LAYERS)
    picture = cells_svg(genotype)[row.cell]
    assert f">{row.label}<" in picture and row.colour in picture and f"var(--hnas-line-{name})" in picture
    assert f"--hnas-line-{name}:{row.colour}" in stylesheet()
    with tempfile.TemporaryDirectory() as folder:
        draw_genotype(genotype, file := Path(folder) / "it.svg", layers=LAYERS)
        assert row.label in file.read_text(encoding="utf-8") and row.colour in file.read_text(encoding="utf-8")


if __name__ == "__main__":
    check_operation(sys.argv[1])
    print(hnas_nni.__file__)
