"""Pictures of architectures: complete, legible, the same colours everywhere."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.transforms import Bbox
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Cell, Edge, Genotype, GenotypeError
from hnas_nni.architecture.cells import operation_label
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.spaces import EFFICIENT, SPACES, Space
from hnas_nni.report import draw_genotype
from hnas_nni.report.palette import text_colour

NAMED = {"HNAS-A": HNAS_A, "HNAS-B": HNAS_B, "HNAS-C": HNAS_C} | {
    f"random {seed}": Genotype.random(seed) for seed in range(20)
}
NAMED |= {f"efficient {seed}": Genotype.random(seed, space=EFFICIENT) for seed in range(20)}


def _edges(genotype: Genotype) -> dict[str, str]:
    """Return what each edge is shown as, by its label: what upsamples nothing in the efficient space is a skip."""
    return {
        operation_label(name, node, slot): "skip" if _idle(genotype, name, edge.source) else edge.operation
        for name, cell in genotype.cells()
        for node, slot, edge in cell.slots()
    }


def _idle(genotype: Genotype, cell: str, source: int) -> bool:
    return genotype.space is EFFICIENT and cell == "upsampling" and source > 1


def _text_boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts]


def _overlap(one: Bbox, other: Bbox) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


@pytest.mark.slow
@pytest.mark.parametrize("genotype", NAMED.values(), ids=NAMED)
def test_every_operation_is_readable_and_nothing_covers_it(genotype: Genotype) -> None:
    figure = draw_genotype(genotype)
    boxes = {patch.get_gid(): patch for patch in figure.findobj(FancyBboxPatch) if patch.get_gid()}
    edges = _edges(genotype)
    assert set(boxes) == set(edges)
    texts = _text_boxes(figure)
    for (_, one), (_, other) in itertools.combinations(texts, 2):
        assert not _overlap(one, other)
    page = figure.bbox
    for label, operation in edges.items():
        box = boxes[label]
        assert to_hex(box.get_facecolor()) == OPERATIONS[operation].colour
        extent = box.get_window_extent()
        inside = [
            text
            for text, bounds in texts
            if extent.containsx(bounds.x0)
            and extent.containsx(bounds.x1)
            and extent.containsy(bounds.y0)
            and extent.containsy(bounds.y1)
        ]
        assert inside == [OPERATIONS[operation].label]
    for _, bounds in texts:
        assert page.x0 <= bounds.x0 and bounds.x1 <= page.x1 and page.y0 <= bounds.y0 and bounds.y1 <= page.y1


@pytest.mark.parametrize("genotype", NAMED.values(), ids=NAMED)
def test_no_line_runs_through_a_box(genotype: Genotype) -> None:
    figure = draw_genotype(genotype)
    boxes = [patch for patch in figure.findobj(FancyBboxPatch) if patch.get_gid()]
    nodes = [patch for patch in figure.findobj(Circle) if patch.get_radius() > 0.1]
    lines = figure.findobj(PathPatch)
    cells = [cell for _, cell in genotype.cells()]
    assert len(boxes) == sum(len(cell.edges) for cell in cells)
    assert len(nodes) == sum(len(cell.nodes) for cell in cells)
    for box in boxes:
        x, y, width, height = box.get_x(), box.get_y(), box.get_width(), box.get_height()
        core = Bbox.from_bounds(x + 0.1, y + 0.02, width - 0.2, height - 0.04)
        crossing = [line for line in lines if line.get_path().intersects_bbox(core, filled=False)]
        # Only the way into the label, which ends in its middle and lies behind it.
        assert [to_hex(line.get_edgecolor()) for line in crossing] == [to_hex(box.get_facecolor())]
        assert crossing[0].get_zorder() < box.get_zorder()
    for node in nodes:
        (x, y), radius = node.center, node.get_radius() * 0.6
        core = Bbox.from_bounds(x - radius, y - radius, 2 * radius, 2 * radius)
        through = [line for line in lines if line.get_path().intersects_bbox(core, filled=False)]
        # Two operations come in, or one in the efficient space, one output leaves; all end in the centre.
        ends = [line.get_path().vertices[index] for line in through for index in (0, -1)]
        assert len(through) == cells[0].edges_per_node + 1
        assert sum(np.allclose(end, (x, y)) for end in ends) == len(through)


def test_svg_keeps_text_as_text(tmp_path: Path) -> None:
    path = tmp_path / "b.svg"
    draw_genotype(HNAS_B, path)
    texts = Counter(
        "".join(element.itertext()).strip()
        for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    )
    expected = Counter(OPERATIONS[operation].label for operation in _edges(HNAS_B).values())
    assert {name: texts[name] for name in expected} == dict(expected)
    assert texts["upsampling cell"] == 1
    source = path.read_text()
    ids = re.findall(r'\bid="([^"]+)"', source)
    assert len(ids) == len(set(ids))


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for suffix in (".svg", ".png", ".pdf"):
        one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
        draw_genotype(HNAS_A, one)
        draw_genotype(HNAS_A, two)
        assert one.read_bytes() == two.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.{suffix}" for name in ("one", "two") for suffix in ("svg", "png", "pdf")
    )


def test_png_shows_the_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    draw_genotype(HNAS_A, path)
    with Image.open(path) as image:
        colours = dict((colour, number) for number, colour in image.convert("RGB").getcolors(1 << 24))
    for operation in set(_edges(HNAS_A).values()):
        hexadecimal = OPERATIONS[operation].colour
        assert colours[tuple(int(hexadecimal[index : index + 2], 16) for index in (1, 3, 5))] > 2000
    assert max(colours, key=colours.get) == (255, 255, 255)


@pytest.mark.parametrize(("position", "layers"), [(1, 2), (2, 2), (1, 12), (12, 12), (7, 40)])
def test_the_network_is_drawn_to_its_position(position: int, layers: int) -> None:
    genotype = Genotype(HNAS_C.normal, HNAS_C.upsampling, position)
    boxes = draw_genotype(genotype, layers=layers).findobj(FancyBboxPatch)
    bottom = sorted((box for box in boxes if box.get_y() < 1.5), key=lambda box: box.get_x())
    heights = [patch.get_height() for patch in bottom]
    assert len(bottom) == layers + 2
    assert heights == [min(heights)] * position + [2 * min(heights)] * (layers + 2 - position)
    highlighted = [index for index, patch in enumerate(bottom) if to_hex(patch.get_facecolor()) == "#d55e00"]
    assert highlighted == [position]


@pytest.mark.parametrize(("position", "layers"), [(1, 2), (2, 2), (5, 9), (9, 9)])
def test_a_network_of_the_efficient_space_is_drawn_to_its_own_depth(position: int, layers: int) -> None:
    genotype = replace(Genotype.random(0, space=EFFICIENT), position=position, depth=layers)
    figure = draw_genotype(genotype, layers=40)
    texts = [text.get_text() for text in figure.texts]
    assert "+ bicubic of the input" in texts
    assert (texts.count("0: second-last block"), texts.count("0: stem")) == (1, 1)  # what the upsampling cell reads
    boxes = [box for box in figure.findobj(FancyBboxPatch) if box.get_y() < 1.5]
    # The stem, the blocks, and a tail if the last block has not written the image.
    assert len(boxes) == 1 + layers + (position < layers)
    assert texts.count("tail") == (position < layers)


def test_outputs_of_a_cell_are_those_that_are_added() -> None:
    normal = Cell((Edge("conv_3x3", 0), Edge("skip", 2), Edge("conv_3x3", 1)), 1)
    upsampling = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_1x1", 2)), 1)
    genotype = Genotype(normal, upsampling, 2, depth=3, width=8, space=EFFICIENT)
    texts = [text.get_text() for text in draw_genotype(genotype).texts]
    # Of nodes 3 and 4; of the upsampling cell node 3 alone is the output.
    assert (texts.count("add"), texts.count("concatenate"), texts.count("+")) == (1, 0, 0)
    texts = [text.get_text() for text in draw_genotype(HNAS_A).texts]
    assert (texts.count("add"), texts.count("concatenate"), texts.count("+")) == (0, 2, 8)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"picture\.gif: .*\.svg, \.png, \.pdf"):
        draw_genotype(HNAS_A, tmp_path / "picture.gif")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        draw_genotype(HNAS_A, tmp_path / "nowhere" / "picture.svg")
    with pytest.raises(GenotypeError, match="position: 10"):
        draw_genotype(HNAS_A, tmp_path / "picture.svg", layers=9)
    assert list(tmp_path.iterdir()) == []


# Machado, Oliveira, Fernandes: A physiologically-based model for simulation of color vision deficiency
# (2009), severity 1, on linear RGB.
_DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("deficiency", _DEFICIENCIES)
@pytest.mark.parametrize("cell", EFFICIENT.cells)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_colours_of_a_cell_are_told_apart(space: Space, cell: str, deficiency: str) -> None:
    colours = [OPERATIONS[operation].colour for operation in candidates(space, cell)]
    rgb = np.array([[int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)] for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.asarray(_DEFICIENCIES[deficiency]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen)
    # A difference of 1 is just noticeable.
    assert min(deltaE_ciede2000(one, other) for one, other in itertools.combinations(lab, 2)) > 10


@pytest.mark.parametrize("colour", [operation.colour for operation in OPERATIONS.values()])
def test_names_are_readable_on_their_colours(colour: str) -> None:
    def luminance(hexadecimal: str) -> float:
        values = [int(hexadecimal[index : index + 2], 16) / 255 for index in (1, 3, 5)]
        red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(colour), luminance(text_colour(colour))))
    assert (high + 0.05) / (low + 0.05) > 4.5  # WCAG 2.1, level AA
