"""The configurations that ship: NNI, the tuner and the trial accept them, and they fit each other."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from itertools import product
from pathlib import Path

import pytest
from nni.experiment.config import ExperimentConfig
from repository import REPOSITORY

from hnas_nni.trial.__main__ import _parser
from strategies import HierarchicalTuner
from strategies.search import command
from strategies.search.trial import with_parameters

CONFIGS = [REPOSITORY / "config.yml", *sorted((REPOSITORY / "examples").glob("*.yml"))]
FAMILIES = [path for path in CONFIGS if path.name.startswith("one_shot_family")]
"""Their trials are whole searches with shared weights."""


def _read(path: Path, folder: Path) -> tuple[ExperimentConfig, list[str]]:
    """Return a configuration as NNI completes it, and the words of its trial's command; NNI looks for an ssh key."""
    config = ExperimentConfig.load(path)
    config.experiment_working_directory = str(folder)
    config = config.canonical_copy()
    return config, shlex.split(re.sub(r"\$\{\w+:\?[^}]*\}", str(folder), config.trial_command))


@pytest.mark.parametrize("path", [path for path in CONFIGS if path not in FAMILIES], ids=lambda path: path.name)
def test_configuration_fits_nni_tuner_and_trial(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()
    config, words = _read(path, tmp_path)
    assert words[:3] == ["python", "-m", "hnas_nni.trial"]
    options = _parser().parse_args(words[3:])
    space = json.loads(Path(config.search_space_file).read_text())
    last = max(space["depth"]["_value"]) if "depth" in space else options.layers
    assert space["upsample_position"]["_value"] == list(range(1, last + 1))
    tuner = HierarchicalTuner(**config.tuner.class_args)
    tuner.update_search_space(space)
    # Under a budget PSNR alone is the reward.
    assert tuner.generate_parameters(0)["lambda"] == (1.0 if "budget" in config.tuner.class_args else 0.6)


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.name)
def test_families_of_searches_fit_nni_and_the_search(path: Path, tmp_path: Path) -> None:
    config, words = _read(path, tmp_path)
    assert words[:3] == ["python", "-m", "strategies.search.trial"]
    parser = argparse.ArgumentParser()
    command.configure(parser)
    settings = command.settings_of(parser.parse_args([*words[3:], "--out", str(tmp_path)]))
    choices = {name: choice["_value"] for name, choice in config.search_space.items()}
    assert choices["lambda"] == [0.2, 0.6, 0.9]  # the paper's A, B and C
    trials = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    assert config.max_trial_number == len(trials)
    for parameters in trials:
        assert with_parameters(settings, parameters).reward_lambda == parameters["lambda"]


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
