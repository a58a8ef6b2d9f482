"""Pictures for web pages: the same as those in files, and legible in the dark."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype
from hnas_nni.architecture.cells import operation_label
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.report import draw_genotype
from hnas_nni.report.palette import contrast, on_dark
from hnas_nni.report.svg import cells_svg, network_svg, stylesheet

GENOTYPES = {"HNAS-A": HNAS_A, "HNAS-B": HNAS_B, "HNAS-C": HNAS_C} | {
    f"random {seed}": Genotype.random(seed) for seed in range(5)
}
GENOTYPES |= {f"efficient {seed}": Genotype.random(seed, space=EFFICIENT) for seed in range(5)}


def _texts(element: ElementTree.Element, tag: str = "text") -> Counter[str]:
    return Counter("".join(text.itertext()).strip() for text in element.iter(tag))


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
def test_says_what_the_picture_in_a_file_says(genotype: Genotype, tmp_path: Path) -> None:
    draw_genotype(genotype, tmp_path / "it.svg")
    file = _texts(ElementTree.parse(tmp_path / "it.svg").getroot(), "{http://www.w3.org/2000/svg}text")
    page = Counter[str]()
    for picture in (*cells_svg(genotype).values(), network_svg(genotype)):
        page += _texts(ElementTree.fromstring(picture))
    headings = set(file) - set(page)
    assert headings == {
        "Normal cell",
        "Upsampling cell",
        "every operation keeps the size",
        "outlined operations, those on nodes 0 and 1, upsample; the others keep the size",
    }
    assert {text: number for text, number in file.items() if text not in headings} == dict(page)


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
def test_every_operation_has_its_colour_and_lies_inside(genotype: Genotype) -> None:
    for name, cell in genotype.cells():
        # In the efficient space what reads an intermediate node upsamples nothing and hands it on.
        idle = genotype.space is EFFICIENT and name == "upsampling"
        shown = {
            (node, slot): "skip" if idle and edge.source > 1 else edge.operation for node, slot, edge in cell.slots()
        }
        root = ElementTree.fromstring(cells_svg(genotype)[name])
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        boxes = {box.attrib["data-name"]: box.attrib for box in root.iter("path") if "data-name" in box.attrib}
        assert len(boxes) == len(cell.edges)
        for node, slot, edge in cell.slots():
            box = boxes[operation_label(name, node, slot)]
            assert box["fill"] == OPERATIONS[shown[node, slot]].colour
            outlined = name == "upsampling" and edge.source in (0, 1)
            assert box["stroke"] == ("var(--hnas-ink)" if outlined else "var(--hnas-paper)")
            way = [float(number) for number in re.findall(r"[\d.-]+", box["d"])]
            assert 0 <= min(way[::2]) < max(way[::2]) <= width
            assert 0 <= min(way[1::2]) < max(way[1::2]) <= height
        lines = Counter(path.get("stroke") for path in root.iter("path"))
        for operation, number in Counter(shown.values()).items():
            assert lines[f"var(--hnas-line-{operation})"] == 2 * number  # to the label, and on to the node
        for operation in shown.values():
            assert OPERATIONS[operation].label in root.attrib["aria-label"]


def test_every_colour_that_is_used_is_defined_in_both_themes() -> None:
    css = stylesheet()
    light, dark = re.findall(r":root\{(.*?)\}", css)
    assert "@media screen and (prefers-color-scheme:dark)" in css
    used = set()
    for genotype in GENOTYPES.values():
        for picture in (*cells_svg(genotype).values(), network_svg(genotype)):
            used |= set(re.findall(r"var\((--[\w-]+)\)", picture))
    for theme in (light, dark):
        defined = dict(entry.split(":") for entry in theme.split(";"))
        assert used <= set(defined)
    # WCAG 2.1 asks for 3 in graphics.
    paper = defined["--hnas-paper"]
    assert all(contrast(defined[f"--hnas-line-{name}"], paper) >= 3 for name in OPERATIONS)
    assert min(contrast(defined[f"--hnas-{name}"], paper) for name in ("ink", "muted")) >= 4.5


def test_contrast_by_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's example just below 4.5
    assert on_dark("#ffcc00", "#000000") == "#ffcc00"
    with pytest.raises(ValueError, match="too light"):
        on_dark("#cccccc", "#dddddd")
