"""The snippets of the page on strategies run, in the order in which they stand."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from hnas_nni import Genotype

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategies.md"


def test_snippets_run(nni_home: Path) -> None:
    torch.manual_seed(0)
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(snippets) == 5
    names: dict[str, object] = {"__name__": "strategies_page"}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), names)
        architecture = names.pop("architecture", None)
        if number in (0, 1, 3):
            Genotype.from_sample(architecture).check_layers(3)  # type: ignore[arg-type]
    assert architecture == {"first": "narrow"}
