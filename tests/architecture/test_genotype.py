"""The architecture as data: file form, NNI samples, published cells and what is refused."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype, GenotypeError
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import PAPER

seeds = st.integers(0, 2**32)


@given(seeds)
def test_file_form_and_samples_lose_nothing(seed: int) -> None:
    genotype = Genotype.random(seed)
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert Genotype.from_json(json.dumps(json.loads(genotype.to_json()))) == genotype
    assert Genotype.from_string(str(genotype)) == genotype
    sample = genotype.to_sample()
    assert Genotype.from_sample(sample) == genotype
    flat = {label: value[0] if isinstance(value, list) else value for label, value in sample.items()}
    assert Genotype.from_sample(flat) == genotype


def test_samples_have_the_labels_that_others_rely_on() -> None:
    sample = HNAS_A.to_sample()
    assert len(sample) == 2 * 8 * 2 + 1
    assert sample["normal/op_2_1"] == "sep_conv_5x5"
    assert sample["normal/input_5_1"] == [4]
    assert sample["upsampling/op_4_0"] == "area"
    assert sample["upsampling/input_4_0"] == [3]
    assert sample["upsample_position"] == 10


def test_published_cells_are_those_of_the_figure() -> None:
    assert [genotype.position for genotype in (HNAS_A, HNAS_B, HNAS_C)] == [10, 12, 12]
    assert [str(edge) for edge in HNAS_C.normal.incoming(4)] == ["dil_conv_5x5(0)", "rcab(3)"]
    assert [str(edge) for edge in HNAS_B.upsampling.incoming(5)] == ["deconv(0)", "nearest(1)"]


def test_random_is_repeatable_and_reaches_everything() -> None:
    assert Genotype.random(7) == Genotype.random(7)
    rng = random.Random(0)
    drawn = [Genotype.random(rng, layers=5) for _ in range(300)]
    assert {genotype.position for genotype in drawn} == {1, 2, 3, 4, 5}
    assert {edge.operation for g in drawn for edge in g.normal.edges} == set(candidates(PAPER, "normal"))
    assert {edge.operation for g in drawn for edge in g.upsampling.edges} == set(candidates(PAPER, "upsampling"))
    assert {g.normal.edges[-1].source for g in drawn} == {0, 1, 2, 3, 4}
    assert len(set(drawn)) == 300


def test_file_form_has_one_edge_a_line(tmp_path) -> None:
    path = tmp_path / "a.json"
    HNAS_A.to_json(path)
    lines = path.read_text().splitlines()
    assert sum('"operation"' in line for line in lines) == 16
    changed = HNAS_A.to_json().replace('"sep_conv_5x5"', '"rcab"').splitlines()
    assert sum(a != b for a, b in zip(lines, changed, strict=True)) == 1
    assert Genotype.from_json(path) == HNAS_A
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")  # as some editors on Windows do
    assert Genotype.from_json(path) == HNAS_A
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def _document() -> dict:
    return json.loads(HNAS_A.to_json())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("normal", "2", 0, "operation"), "conv", r"normal\.2\[0\]\.operation: 'conv' is unknown; valid are identity"),
        (("normal", "2", 0, "operation"), "area", r"normal\.2\[0\]\.operation: 'area' is unknown"),
        (("upsampling", "3", 1, "operation"), 3, r"upsampling\.3\[1\]\.operation: 3 is unknown; valid are area"),
        (("normal", "4", 1, "from"), 4, r"normal\.4\[1\]\.from: 4 is not an earlier node; valid are 0\.\.3"),
        (("normal", "4", 1, "from"), -1, r"normal\.4\[1\]\.from: -1 is not an earlier node"),
        (("normal", "4", 1, "from"), True, r"normal\.4\[1\]\.from: True"),
        (("normal", "4", 1, "from"), "1", r"normal\.4\[1\]\.from: '1'"),
        (("normal", "4"), [], r"normal\.4: a node needs a list of exactly 2 edges"),
        (("normal",), [], r"normal: expected an object with nodes"),
        (("position",), 0, r"position: 0 is not valid"),
        (("position",), 1.5, r"position: 1\.5 is not valid"),
        (("position",), None, r"position: None is not valid"),
        (("version",), 3, r"version: 3 can't be read; this hnas-nni reads versions 1 and 2"),
        (("version",), 1, r"space: unknown field; valid are format, version, normal, upsampling, position"),
        (("space",), "darts", r"space: 'darts' is unknown; valid are paper, efficient"),
        (("space",), "efficient", r"normal\.5: unknown field; valid are 2, 3, 4"),
        (("width",), 0, r"width: 0 is not valid; give channels"),
        (("depth",), 9, r"position: 10 lies behind the last of 9 layers"),
        (("format",), "darts", r"format: 'darts' is not valid"),
        (
            ("colour",),
            1,
            r"colour: unknown field; valid are format, version, space, depth, width, normal, upsampling, position",
        ),
        (("normal", "6"), [], r"normal\.6: unknown field"),
    ],
)
def test_an_invalid_field_is_named(path, value, message) -> None:
    document = _document()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(GenotypeError, match=message):
        Genotype.from_json(json.dumps(document))


@pytest.mark.parametrize("field", [("position",), ("space",), ("normal",), ("normal", "3"), ("normal", "3", 0, "from")])
def test_a_missing_field_is_named(field) -> None:
    document = _document()
    place = document
    for key in field[:-1]:
        place = place[key]
    del place[field[-1]]
    with pytest.raises(GenotypeError, match=f"{field[-1]}: missing"):
        Genotype.from_dict(document)


def test_bad_files_are_named(tmp_path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(GenotypeError, match=r"broken\.json: not valid JSON"):
        Genotype.from_json(tmp_path / "broken.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenotypeError, match=r"binary\.json: not a text file"):
        Genotype.from_json(tmp_path / "binary.json")
    with pytest.raises(FileNotFoundError):
        Genotype.from_json(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        HNAS_A.to_json(tmp_path / "none" / "a.json")


def test_bad_samples_are_named() -> None:
    sample = HNAS_A.to_sample()
    with pytest.raises(GenotypeError, match="normal/op_2_0: missing"):
        Genotype.from_sample({label: value for label, value in sample.items() if label != "normal/op_2_0"})
    with pytest.raises(GenotypeError, match="dropout: not a label"):
        Genotype.from_sample(sample | {"dropout": 0.5})
    with pytest.raises(GenotypeError, match=r"normal/input_2_0: \[0, 1\] must pick exactly one"):
        Genotype.from_sample(sample | {"normal/input_2_0": [0, 1]})


@pytest.mark.parametrize(
    "text",
    ["", "HNAS-A", str(HNAS_A)[:-1], str(HNAS_A).replace("identity(1)", ""), str(HNAS_A).replace("area", "conv")],
)
def test_a_bad_printable_form_is_refused(text) -> None:
    with pytest.raises(GenotypeError):
        Genotype.from_string(text)


def test_position_must_fit_the_layers() -> None:
    with pytest.raises(GenotypeError, match=r"position: 10 lies behind the last of 6 layers; valid are 1\.\.6"):
        HNAS_A.build(layers=6)
