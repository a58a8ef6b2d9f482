"""``hnas search`` in the efficient space under a budget: all that it draws, ranks and prints is within."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from options import with_options
from safetensors.torch import load_file

from hnas_nni import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cli import main
from hnas_nni.cost import count
from hnas_nni.data import load_splits
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.model_file import load
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.settings import EMBEDDED
from strategies.search import SearchSettings, WeightSharingSearch

CHANNELS, LAYERS = 6, 3


def _fixed(seed: int) -> Genotype:
    """A random architecture of the networks that the search is for."""
    sample = Genotype.random(seed, LAYERS, EFFICIENT).to_sample()
    sample |= {"depth": LAYERS, "width": CHANNELS, "upsample_position": 1 + seed % LAYERS}
    return Genotype.from_sample(sample)


BUDGET = round(sorted(count(_fixed(seed), 2).gmacs for seed in range(20))[6], 3)
"""That about a third of the architectures are within."""
SETTINGS: dict[str, Any] = {
    "space": "efficient",
    "budget": BUDGET,
    "reward_lambda": 1.0,
    "layers": LAYERS,
    "channels": CHANNELS,
    "batch": 2,
    "patch": 24,
    "epochs": 2,
    "weight_steps": 3,
    "controller_steps": 2,
    "controller_batch": 2,
    "architectures": 3,
    "validation_architectures": 2,
    "candidates": 6,
    "limit": 2,
    "seed": 5,
    "threads": 1,
    "device": "cpu",
}
OPTIONS = [
    word
    for name, value in SETTINGS.items()
    if name != "reward_lambda"  # with a budget that is the command's own
    for word in (f"--{name.replace('_', '-')}", str(value))
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget") / "run"
    WeightSharingSearch(SearchSettings(**SETTINGS), folder).run()
    return folder


def test_everything_is_within_the_budget(finished: Path) -> None:
    folder = SearchFolder(finished)
    found = [*folder.architectures(), *folder.measured()]
    assert len(folder.measured()) == 4 and 1 <= len(folder.architectures()) <= 6
    for entry in found:
        assert entry.genotype.space is EFFICIENT
        cost = count(entry.genotype, 2, CHANNELS, LAYERS)
        assert (entry.gmacs, entry.params) == (cost.gmacs, cost.params)
        assert cost.gmacs <= BUDGET
    assert folder.published() == []  # the paper's cells are of another space


def test_the_winner_is_a_network_of_the_searched_size(finished: Path) -> None:
    network = load(finished / "winner.safetensors")
    assert network.genotype == SearchFolder(finished).architectures()[0].genotype
    assert (network.channels, network.layers) == (CHANNELS, LAYERS)


def test_the_winners_weights_are_those_it_was_ranked_with(finished: Path) -> None:
    """Measured by torch alone on the images that were held out."""
    images = load_splits([EMBEDDED], 2, patch_size=SETTINGS["patch"], seed=SETTINGS["seed"], limit=SETTINGS["limit"])
    network = load(finished / "winner.safetensors")
    psnrs = []
    with torch.inference_mode():
        for pair in images.validation:
            low, high = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in (pair.lr, pair.hr))
            psnrs.append(float(psnr_y_batch(network(low / 255), high, 2)))
    assert fmean(psnrs) == pytest.approx(SearchFolder(finished).architectures()[0].psnr, abs=1e-3)
    assert all("parametrizations" not in name for name in load_file(finished / "supernet.safetensors"))


def test_what_it_prints_to_go_on_with_is_a_training_at_that_price(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *OPTIONS, "--out", str(finished)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "hnas train" in line)
    words = shlex.split(line)
    assert words[words.index("--channels") + 1] == str(CHANNELS)
    assert words[words.index("--layers") + 1] == str(LAYERS)
    winner = words[words.index("train") + 1]
    assert main(["show", winner, "--channels", str(CHANNELS), "--layers", str(LAYERS), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["multiply_adds"] <= BUDGET * 1e9


def test_stopped_and_started_again_it_gives_the_same_numbers(finished: Path, tmp_path: Path) -> None:
    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WeightSharingSearch(SearchSettings(**SETTINGS), tmp_path / "run", on_epoch=stop).run()
    resumed = WeightSharingSearch(SearchSettings(**SETTINGS), tmp_path / "run").run()
    assert resumed == SearchFolder(finished).architectures()


def test_best_show_and_report_read_it(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["best", str(finished)]) == 0
    assert main(["show", f"{finished}:best"]) == 0
    assert f"C = {CHANNELS}, L = {LAYERS}" in capsys.readouterr().out
    assert main(["report", str(finished), "--published", "--out", str(tmp_path / "report.html")]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "0"], "--budget: 0.0 is not valid; give a positive number of GMAC"),
        (["--budget", "nan"], "--budget: nan is not valid; give a positive number of GMAC"),
        (["--budget", "0.0001"], "budget: nothing fits 0.0001 GMAC; the cheapest has "),
        (["--budget-params", "3"], "budget: nothing fits "),
    ],
)
def test_budgets_that_can_not_be_met_are_a_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *with_options(OPTIONS, *options), "--out", str(tmp_path / "run"), "-q"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_another_budget_is_another_search(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", *with_options(OPTIONS, "--budget", "9"), "--out", str(finished), "-q"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"holds a search with --budget {BUDGET:g}, not 9.0" in line
