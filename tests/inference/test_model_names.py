"""What models are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from hnas_nni.inference.model_names import NamedModel, distinct_names, parse_model

pytestmark = pytest.mark.usefixtures("in_folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.safetensors", "b.safetensors"], ["a", "b"]),
        (["runs/long/best.safetensors", "runs/short/best.safetensors"], ["long", "short"]),
        (["runs/long/last.safetensors", "bicubic"], ["long", "bicubic"]),
        (["best.safetensors"], ["here"]),
        (["../best.safetensors", "best.safetensors"], None),
        (["runs/long/best.safetensors", "runs/long/last.safetensors"], ["long/best", "long/last"]),
        (["runs/a/x.safetensors", "runs/b/x.safetensors"], ["a/x", "b/x"]),
        (["1/run/best.safetensors", "2/run/best.safetensors"], ["1/run/best.safetensors", "2/run/best.safetensors"]),
        (["x/bicubic.safetensors", "bicubic"], ["x/bicubic", "bicubic"]),
        (["x/HR.safetensors"], ["x/HR"]),
        (["first=a.safetensors", "b/a.safetensors"], ["first", "a"]),
        (["a=runs/one/best.safetensors", "a.safetensors"], ["a", "here/a"]),
        (["mine=bicubic", "a.safetensors"], ["mine", "a"]),
        (["bicubic=bicubic"], ["bicubic"]),
    ],
)
def test_names(files: list[str], names: list[str] | None) -> None:
    found = distinct_names([parse_model(file) for file in files])
    assert found == (names or [Path.cwd().parent.name, "here"])


def test_paths_with_an_equals_sign_are_paths() -> None:
    Path("lr=1.safetensors").touch()
    for path in ("lr=1.safetensors", "runs/lr=1/best.safetensors", "=a.safetensors", "a="):
        assert parse_model(path) == NamedModel(path)
    assert parse_model("lr=2.safetensors") == NamedModel("2.safetensors", "lr")
    assert parse_model("best=runs/lr=1/best.safetensors") == NamedModel("runs/lr=1/best.safetensors", "best")


@pytest.mark.parametrize("name", ["bicubic", "LR", "HR"])
def test_names_of_what_stands_beside_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is what stands beside the models"):
        parse_model(f"{name}=a.safetensors")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="mine: the name of two models"):
        distinct_names([parse_model("mine=a.safetensors"), parse_model("mine=b.safetensors")])
