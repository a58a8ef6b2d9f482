"""The configurations that ship: NNI, the tuner and the trial accept them, and they fit each other."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from nni.experiment.config import ExperimentConfig

from hnas_nni.trial import _parser
from strategies import HierarchicalTuner

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = [REPOSITORY / "config.yml", *sorted((REPOSITORY / "examples").glob("*.yml"))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configuration_fits_nni_tuner_and_trial(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
    config = ExperimentConfig.load(path)
    config.experiment_working_directory = str(tmp_path)
    config = config.canonical_copy()
    command = re.sub(r"\$\{\w+:\?[^}]*\}", "/images", config.trial_command)
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "hnas_nni.trial"]
    options = _parser().parse_args(words[3:])
    space = json.loads(Path(config.search_space_file).read_text())
    assert space["upsample_position"]["_value"] == list(range(1, options.layers + 1))
    assert options.scale == int(re.search(r"hnas_x(\d)", config.search_space_file)[1])  # type: ignore[index]
    tuner = HierarchicalTuner(**config.tuner.class_args)
    tuner.update_search_space(space)
    assert tuner.generate_parameters(0)["lambda"] == 0.6


@pytest.mark.parametrize(
    "words",
    re.findall(r"`(docs/\S+|examples/\S+)`|\]\(((?:docs|examples)/\S+?)\)", (REPOSITORY / "README.md").read_text()),
)
def test_files_named_in_the_readme_exist(words: tuple[str, str]) -> None:
    assert (REPOSITORY / (words[0] or words[1])).is_file()


def test_python_snippets_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in one namespace, with a winner and an image in place."""
    import torch

    from hnas_nni import Genotype, save

    monkeypatch.chdir(tmp_path)
    winner = Genotype.random(0, layers=6)
    save(winner.build(scale=2, channels=4, layers=6), "winner.safetensors")
    winner.to_json("winner.json")
    snippets = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 2
    names: dict[str, object] = {"lr": torch.rand(1, 3, 8, 8)}
    exec(snippets[0], names)
    assert names["sr"].shape == (1, 3, 16, 16)  # type: ignore[attr-defined]
    exec(snippets[1], names)
    assert names["network"].layers == 12  # type: ignore[attr-defined]
