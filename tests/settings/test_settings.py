"""Settings: every statement is kept by its check, its option, its help, and what the report reads of a trial."""

from __future__ import annotations

import argparse
import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from table_builder import BuildSettings

from hnas_nni.searches.nni.settings import trial_settings
from hnas_nni.settings import Setting, Settings
from hnas_nni.settings.options import add_options, given
from hnas_nni.training import TrainingSettings
from hnas_nni.trial import TrialSettings
from hnas_nni.trial.__main__ import _parser as trial_parser
from hnas_nni.trial.evaluator import EvaluatorSettings
from hnas_nni.trial.reward import JointReward
from strategies.search import SearchSettings
from strategies.settings import ControllerSettings, PolicySettings

OF_COMMANDS = (TrialSettings, TrainingSettings, SearchSettings)
CLASSES = (*OF_COMMANDS, BuildSettings, EvaluatorSettings, JointReward, PolicySettings, ControllerSettings)


def _statements(classes: tuple[type[Settings], ...] = CLASSES) -> Iterator[tuple[type[Settings], str, Setting, Any]]:
    for settings in classes:
        for name, (setting, default) in settings.stated().items():
            yield settings, name, setting, default


def _refusal(settings: type[Settings], name: str, value: Any) -> str:
    with pytest.raises(ValueError) as caught:
        settings(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{settings.named(name)}: "), message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("settings", CLASSES)
def test_defaults_are_valid_and_the_docstring_explains_every_setting(settings: type[Settings]) -> None:
    settings()
    assert settings.__doc__
    for name, (setting, _) in settings.stated().items():
        assert f"\n{name}\n    {setting.help}" in settings.__doc__


@pytest.mark.parametrize(
    ("settings", "name", "setting"), [row[:3] for row in _statements() if row[2].kind in (int, float, bool)]
)
def test_numbers_and_switches_keep_to_their_kind_and_bounds(
    settings: type[Settings], name: str, setting: Setting
) -> None:
    beyond: list[Any] = ["one", math.nan] if setting.kind is not bool else ["yes", 1, None]
    if setting.kind is int:
        beyond.append(1.5)
    if setting.kind in (int, float):
        beyond.append(True)
    beyond += [bound - 1 for bound in (setting.least, setting.above) if bound is not None]
    beyond += [bound for bound in (setting.above, setting.below) if bound is not None]
    if setting.most is not None:
        beyond.append(setting.most + 1)
    for value in beyond:
        message = _refusal(settings, name, value)
        assert repr(value) in message
        assert "; give " in message or name == "scale"
    for bound in (setting.least, setting.most):
        if bound is not None:
            setting.check(name, bound)


@pytest.mark.parametrize(("settings", "name", "setting"), [row[:3] for row in _statements() if row[2].choices])
def test_words_are_among_the_choices(settings: type[Settings], name: str, setting: Setting) -> None:
    for choice in setting.choices:
        setting.check(name, choice)
    assert f"'other' is not valid; give one of {', '.join(setting.choices)}" in _refusal(settings, name, "other")


@pytest.mark.parametrize("settings", [*OF_COMMANDS, BuildSettings, EvaluatorSettings])
def test_a_patch_is_a_multiple_of_the_scale(settings: type[Settings]) -> None:
    (patch,) = (name for name, (setting, _) in settings.stated().items() if setting.multiple_of)
    with pytest.raises(ValueError) as caught:
        settings(**{"scale": 3, patch: 50})
    assert str(caught.value) == f"{settings.named(patch)}: 50 is not valid; give a multiple of the scale 3"
    for value in (0, 2, -3):
        with pytest.raises(ValueError, match=f"{patch}: {value} is not valid"):
            settings(**{"scale": 3, patch: value})
    settings(**{"scale": 3, patch: 51})


@pytest.mark.parametrize("settings", OF_COMMANDS)
def test_every_setting_has_an_option_that_sets_it(settings: type[Settings], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, settings)
    assert given(parser.parse_args([]), settings) == {}
    (tmp_path / "file").touch()
    for name, (setting, default) in settings.stated().items():
        others = [choice for choice in setting.choices if choice != default]
        if setting.kind is bool:
            words, value = [], True
        elif setting.kind is int:
            value = 3 if name == "scale" else default + 12
            words = [str(value)]
        elif setting.kind is float:
            value = (1.0 if default is None else default) / 2 + 0.001
            words = [str(value)]
        else:
            value = others[0] if others else str(tmp_path / "file" if setting.metavar == "FILE" else tmp_path)
            words = [value, value] if isinstance(default, tuple) else [value]
            value = tuple(words) if isinstance(default, tuple) else value
        found = given(parser.parse_args([settings.flag(name), *words]), settings)
        assert getattr(settings(**found), name) == value != default


def test_the_report_reads_a_trials_command_as_the_trial_does(tmp_path: Path) -> None:
    for command in (
        "",
        "--layers=6 --learning-rate 1e-3 --first-weights torch",
        f"--data {shlex.quote(str(tmp_path))} --scale 3 --patch=99 --device cpu --threads 2 --limit 4 --seed 7",
        "--lambda 0.9 --cost-scale=0.5 --steps 3 --reports 1",
    ):
        options = trial_parser().parse_args(shlex.split(command))
        reward = given(options, JointReward)
        expected = TrialSettings(**given(options, TrialSettings)).to_dict() | {"sharing": True}
        expected |= {{"weight": "lambda"}.get(name, name): value for name, value in reward.items()}
        expected = {name: value for name, value in expected.items() if value is not None}
        assert trial_settings(f"python -m hnas_nni.trial {command}") == expected


def test_located_settings_mean_the_same_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "it.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    settings = TrainingSettings(data=["images", "embedded:photos"], validation="images", init="it.safetensors")
    assert settings.data == ("images", "embedded:photos")
    located = settings.located()
    images = str(tmp_path / "images")
    assert (located.data, located.validation) == ((images, "embedded:photos"), images)
    assert located.init == str(tmp_path / "it.safetensors")
    assert located == replace(located).located() == TrainingSettings(**json.loads(json.dumps(located.to_dict())))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for settings in OF_COMMANDS:
        message = _refusal(settings, "data", "nowhere")
        assert message == '--data: nowhere: no such folder; give a folder of images, or "embedded:photos"'
    assert _refusal(TrainingSettings, "data", ()) == "--data: give at least one DIR"
    assert "no such file; give a model file" in _refusal(TrainingSettings, "init", str(tmp_path))
