"""The search-space files for nnictl are the space, and NNI's tuners can read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nni.algorithms.hpo.random_tuner import RandomTuner

from hnas_nni import Genotype
from search_spaces import HNASSpace, decision_labels, search_space_json, search_space_path, search_space_text
from search_spaces.__main__ import main


@pytest.fixture(scope="module")
def small() -> dict[str, object]:
    return search_space_json(layers=6)


@pytest.mark.parametrize("layers", [6, 12])
def test_packaged_files_are_up_to_date(layers: int) -> None:
    space = search_space_json(layers)
    text = search_space_path(layers).read_text(encoding="utf-8")
    assert text == search_space_text(space)
    assert json.loads(text) == space


def test_no_file_for_other_depths() -> None:
    with pytest.raises(FileNotFoundError, match=r"hnas_5_layers\.json: .* --layers 5 --out FILE"):
        search_space_path(5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_files_hold_the_choices_of_the_space(small: dict[str, dict[str, object]], scale: int) -> None:
    choices = HNASSpace(scale=scale, channels=1, layers=6).simplify()
    assert {label: choice["_value"] for label, choice in small.items()} == {
        label: list(choice.values) for label, choice in choices.items()
    }
    assert {choice["_type"] for choice in small.values()} == {"choice"}
    assert small["upsample_position"]["_value"] == [1, 2, 3, 4, 5, 6]


def test_decisions_come_in_the_order_of_the_controller(small: dict[str, object]) -> None:
    labels = list(small)
    assert labels[:8] == [
        "normal/input_2_0",
        "normal/input_2_1",
        "normal/op_2_0",
        "normal/op_2_1",
        "normal/input_3_0",
        "normal/input_3_1",
        "normal/op_3_0",
        "normal/op_3_1",
    ]
    assert labels[16] == "upsampling/input_2_0"
    assert labels[-1] == "upsample_position"
    assert tuple(labels) == decision_labels()


def test_one_label_a_line(small: dict[str, object]) -> None:
    lines = search_space_text(small).splitlines()
    assert len(lines) == len(small) + 2
    assert all(label in line for label, line in zip(small, lines[1:-1], strict=True))


def test_parameters_of_a_tuner_build_a_network(small: dict[str, object]) -> None:
    tuner = RandomTuner(seed=1)
    tuner.update_search_space(small)
    for trial in range(3):
        genotype = Genotype.from_sample(tuner.generate_parameters(trial))
        assert genotype.build(2, 4, 6).genotype == genotype


def test_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "space.json"
    assert main(["--layers", "5", "--out", str(file)]) == 0
    assert json.loads(file.read_text())["upsample_position"]["_value"] == [1, 2, 3, 4, 5]
    assert main(["--layers", "5", "--check", str(file)]) == 0
    assert main(["--layers", "4", "--check", str(file)]) == 1
    assert "differs from the space" in capsys.readouterr().err
    assert main(["--layers", "5"]) == 0
    assert capsys.readouterr().out == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "1"], "layers: 1"),
        (["--check", "missing.json"], "missing.json"),
    ],
)
def test_command_reports_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def run_without_lightning(code: str, framework: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nsys.modules['pytorch_lightning'] = None\n{code}"
    environment = {**os.environ, "NNI_FRAMEWORK": framework}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_missing_lightning_is_reported() -> None:
    done = run_without_lightning("from search_spaces import HNASSpace", framework="pytorch")
    assert done.returncode != 0
    assert "install pytorch-lightning" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_nni_without_a_framework_does_without_lightning() -> None:
    code = "import search_spaces; print(type(search_spaces.HNASSpace(2, 2, 2).random()).__name__)"
    done = run_without_lightning(code, framework="none")
    assert done.stdout == "HNASNetwork\n", done.stderr


def test_reading_the_files_needs_neither_nni_nor_torch() -> None:
    code = (
        "import sys, search_spaces\n"
        "search_spaces.search_space_path().read_text()\n"
        "print([name for name in ('torch', 'nni') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
