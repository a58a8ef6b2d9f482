"""What a search says to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from hnas_nni.cli import make_parser
from strategies.search.command import training_command
from strategies.search.settings import SearchSettings


@pytest.mark.parametrize("miniature", [True, False])
def test_the_training_goes_on_with_what_was_searched(miniature: bool, tmp_path: Path) -> None:
    data = tmp_path / "my photos"
    data.mkdir()
    make = SearchSettings.miniature if miniature else SearchSettings
    settings = make(data=(str(data), "embedded:photos"), validation=str(data), scale=4, channels=10)
    words = shlex.split(training_command(tmp_path / "winner.json", settings, miniature))
    options = make_parser().parse_args(words[1:])
    assert (options.scale, options.channels, options.layers) == (4, 10, settings.layers)
    assert options.data == [str(data), "embedded:photos"] and options.validation == str(data)
    assert options.miniature is miniature
    assert options.genotype == str(tmp_path / "winner.json")
