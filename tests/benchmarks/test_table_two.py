"""The table of named networks: that it is made, and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from repository import REPOSITORY

from hnas_nni.data import load_pairs


@pytest.fixture
def photos_of_a_set(tmp_path: Path) -> Path:
    """A set of one small photograph."""
    folder = tmp_path / "Set5"
    folder.mkdir()
    Image.fromarray(np.ascontiguousarray(load_pairs("embedded:photos", 2, limit=1)[0].hr[:48, :64])).save(
        folder / "photo.png"
    )
    return folder


def test_a_few_steps(
    tmp_path: Path, photos_of_a_set: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import table_two

    monkeypatch.setattr(table_two, "_by_onnxruntime", lambda *_: None)  # exports are tested elsewhere, and take long
    out = tmp_path / "results.jsonl"
    networks = ["--networks", "plain-stack, 4 layers", "FSRCNN", "found"]
    made = ["--images", "embedded:photos", "--test", str(photos_of_a_set), "--budgets", "1", "--steps", "2", *networks]
    made += ["--found", "found=plain-stack", "--out", str(out)]
    table_two.main(made)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["name"] for row in rows] == ["plain-stack, 4 layers", "FSRCNN"]  # the one that is found costs 3.7 GMAC
    for row in rows:
        assert 0.5 <= row["gmacs"] <= 1 and row["scores"]["Set5"]["psnr"] > 10
    before = out.read_text()
    pages = ["--markdown", str(tmp_path / "it.md"), "--csv", str(tmp_path / "it.csv")]
    table_two.main([*made, *pages, "--picture", str(tmp_path / "it.svg")])
    assert out.read_text() == before
    markdown = (tmp_path / "it.md").read_text()
    assert "| 1.0 | FSRCNN | " in markdown and len((tmp_path / "it.csv").read_text().splitlines()) == 3
    assert "FSRCNN" in (tmp_path / "it.svg").read_text()
    with pytest.raises(SystemExit):
        table_two.main(["--out", str(tmp_path / "nothing.jsonl")])
    assert "has no results yet" in capsys.readouterr().err
