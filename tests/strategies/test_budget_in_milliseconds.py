"""Budgets in milliseconds: a measured table, sums worked out by hand, and a space counted out in full."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from counted_spaces import EFFICIENT as PART_OF_THE_SPACE
from counted_spaces import CountedSpace

from hnas_nni import Genotype
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import EFFICIENT, PAPER
from hnas_nni.cli import main
from hnas_nni.cost import CostTable, count
from hnas_nni.latency import LatencyTable
from hnas_nni.timing import check, measure
from hnas_nni.trial import Training, TrialSettings, evaluate
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.pricing import costs_under
from hnas_nni.trial.reward import JointReward
from strategies import HierarchicalRL, HierarchicalTuner
from strategies.budget import AffordableChoices
from strategies.controller import HierarchicalController
from strategies.layout import LayoutError, SpaceLayout

GENOTYPE = Genotype.from_string(
    "Genotype(normal: 2=conv_3x3(1) 3=collapsible_3x3(2) 4=skip(0), "
    "upsampling: 2=sub_pixel_3x3(1) 3=sub_pixel_1x1(2), position: 3, depth: 4, width: 8)"
)


def parts(factor: float) -> dict[str, float]:
    """Milliseconds that no two parts have in common, as no device would have them."""
    return {
        "ends": 1.0 * factor,
        "ends, upsampled last": 0.5 * factor,
        "block": 0.0,
        "block at high resolution": 0.0,
        "skip": 0.01 * factor,
        "skip at high resolution": 0.02 * factor,
        "conv_3x3": 0.3 * factor,
        "conv_3x3 at high resolution": 1.1 * factor,
        "collapsible_3x3": 0.4 * factor,
        "collapsible_3x3 at high resolution": 1.6 * factor,
        "sub_pixel_3x3 of an input": 2.5 * factor,
        "sub_pixel_3x3 of an input, to the image": 0.7 * factor,
        "sub_pixel_3x3 of a node": 0.03 * factor,
        "sub_pixel_3x3 of a node, to the image": 0.04 * factor,
        "sub_pixel_1x1 of an input": 1.2 * factor,
        "sub_pixel_1x1 of an input, to the image": 0.2 * factor,
        "sub_pixel_1x1 of a node": 0.05 * factor,
        "sub_pixel_1x1 of a node, to the image": 0.06 * factor,
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latency") / "table.json"
    widths = {width: parts(width / 8) for width in EFFICIENT.widths}
    LatencyTable("efficient", 2, (480, 480), "made up", widths).write(path)
    return path


@pytest.fixture(scope="module")
def counted(table: Path) -> CountedSpace:
    return CountedSpace(
        SpaceLayout.from_search_space(PART_OF_THE_SPACE), CostTable(2, latency=LatencyTable.read(table))
    )


def test_a_networks_time_is_the_sum_of_its_parts(table: Path) -> None:
    cost = CostTable(2, latency=LatencyTable.read(table))(GENOTYPE)
    # Two normal blocks before the upsampling one, one behind it, and a tail.
    by_hand = 1.0 + 2 * (0.3 + 0.4 + 0.01) + (1.1 + 1.6 + 0.02) + (2.5 + 0.05)
    assert cost.milliseconds == pytest.approx(by_hand)
    assert (cost.macs, cost.params) == (count(GENOTYPE, 2).macs, count(GENOTYPE, 2).params)


@pytest.mark.parametrize("share", [0.03, 0.4, 1])
def test_what_is_left_is_exactly_what_fits(table: Path, counted: CountedSpace, share: float) -> None:
    times = sorted(cost.milliseconds for cost in counted.costs.values())
    budget = Budget(milliseconds=times[round(share * (len(times) - 1))] + 1e-6, latency=str(table))
    affordable = AffordableChoices(counted.layout, budget)
    assert list(affordable.enumerate()) == counted.within(budget)
    drawn = HierarchicalController(counted.layout, hidden_size=6, affordable=affordable).sample(
        64, torch.Generator().manual_seed(0)
    )
    for row in drawn.choices.tolist():
        assert counted.costs[tuple(row)].milliseconds <= budget.milliseconds
    with pytest.raises(LayoutError, match=rf"nothing fits .* ms; the cheapest has {times[0]:.3g} ms"):
        AffordableChoices(counted.layout, Budget(milliseconds=times[0] * 0.99, latency=str(table)))


def test_a_trial_says_the_time_and_trains_nothing_above_the_budget(table: Path) -> None:
    small = TrialSettings(
        steps=1, batch=1, patch=16, limit=1, measured_patches=1, reports=1, threads=1, latency=str(table), budget_ms=9
    )
    result, network = evaluate(GENOTYPE, JointReward(1.0), Training(small))
    assert network is not None and result.milliseconds == pytest.approx(7.69)
    assert result.to_nni(GENOTYPE)["milliseconds"] == result.milliseconds
    above, network = evaluate(GENOTYPE, JointReward(1.0), Training(TrialSettings(latency=str(table), budget_ms=7)))
    assert network is None and above.reward < -400


@pytest.mark.parametrize("space", [EFFICIENT, PAPER], ids=lambda space: space.name)
def test_what_was_measured_has_all_parts_and_adds_up_to_whole_networks(space: Any, tmp_path: Path) -> None:
    measured = measure(space, 2, (64, 64), channels=[8], threads=1, least_seconds=0.01)
    measured.write(tmp_path / "measured.json")
    again = LatencyTable.read(tmp_path / "measured.json")
    assert again == measured
    rows = measured.milliseconds[8]
    assert min(rows.values()) >= 0
    operations = candidates(space, "normal")
    at_low, at_high = (sum(rows[f"{name}{where}"] for name in operations) for where in ("", " at high resolution"))
    # Sums, on images that take longer than calling the operation does: single short timings change places under load.
    assert 0 < at_low < at_high
    for each in check(
        again, 1, layers=3, least_seconds=0.01
    ):  # machines are noisy: only that it is the same thing that is measured
        assert each.measured / 5 < each.added_up < each.measured * 5


def test_the_command_writes_a_table_that_a_search_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.json"
    command = ["latency", "--space", "paper", "--channels", "3", "--size", "20x16", "--out", str(out)]
    assert main([*command, "--check", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"1 whole networks? of .* ms: the sum of their parts is off by [+-]\d+%", printed)
    assert LatencyTable.read(out).lr_size == (16, 20)
    assert main(command) == 2 and "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not a table of milliseconds"),
        ("{", "not a table of milliseconds"),
        ('{"version": 2, "milliseconds": {}}', "of another version"),
        (None, "no 'conv_3x3' at C = 8; measure it anew"),
    ],
)
def test_tables_that_are_none_are_named_in_a_line(
    content: str | None, message: str, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.json"
    if content is None:
        data = json.loads(table.read_text())
        del data["milliseconds"]["8"]["conv_3x3"]
        content = json.dumps(data)
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        costs_under(Budget(milliseconds=5, latency=str(path)))(GENOTYPE)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"not a table of milliseconds.*not a regular file"):
        LatencyTable.read(tmp_path / "pipe")


def test_a_table_of_another_space_or_scale_is_refused(table: Path) -> None:
    with pytest.raises(ValueError, match="of the efficient space at x2, and the search's is efficient at x3"):
        costs_under(Budget(milliseconds=5, latency=str(table), scale=3))(GENOTYPE)


@pytest.mark.parametrize("door", [HierarchicalTuner, HierarchicalRL, TrialSettings], ids=lambda door: door.__name__)
def test_milliseconds_need_a_table_and_a_table_milliseconds(door: Any, table: Path, tmp_path: Path) -> None:
    for given in ({"budget_ms": 5}, {"latency": str(table)}):
        with pytest.raises(ValueError, match="give both or none"):
            made = door(**given)
            getattr(made, "bound", getattr(getattr(made, "budget", None), "bound", None))()
    for bad in ({"budget_ms": 0, "latency": str(table)}, {"budget_ms": 5, "latency": str(tmp_path / "none.json")}):
        with pytest.raises(ValueError, match=r"is not valid; give a positive number|no such file; hnas latency"):
            door(**bad)
