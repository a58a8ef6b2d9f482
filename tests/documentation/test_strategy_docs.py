"""The snippets of the page on strategies run, in the order in which they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from repository import REPOSITORY

from hnas_nni import Genotype
from strategies import HierarchicalTuner

PAGE = REPOSITORY / "docs" / "strategies.md"


@pytest.mark.slow
def test_snippets_run(nni_home: Path) -> None:
    torch.manual_seed(0)
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(snippets) == 6
    names: dict[str, object] = {"__name__": "strategies_page"}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), names)
        architecture = names.pop("architecture", None)
        if number in (0, 2, 4):
            Genotype.from_sample(architecture).check_layers(3)  # type: ignore[arg-type]
    assert architecture == {"first": "narrow"}


def test_levels_of_the_tuner_are_as_described() -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?levels.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    tuner = HierarchicalTuner(**yaml.safe_load(snippet)["tuner"]["classArgs"])
    labels = ["enc_kernel", "depth", "dec_kernel", "enc_width", "width"]
    tuner.update_search_space({label: {"_type": "choice", "_value": [1, 2]} for label in labels})
    layout = tuner._agent.layout
    cells = {cell.name: [decision.label for decision in cell.decisions] for cell in layout.cells}
    assert cells == {"encoder": ["enc_kernel", "enc_width"], "decoder": ["dec_kernel"]}
    assert [decision.label for decision in layout.network] == ["depth", "width"]
    assert set(tuner.generate_parameters(0)) == set(labels)
