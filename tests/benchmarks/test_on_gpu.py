"""The benchmark for a GPU: its rehearsal on the CPU, and what it is made of."""

from __future__ import annotations

import json
import random
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from repository import REPOSITORY

from hnas_nni.cost import profile
from hnas_nni.data import bicubic_upsample, load_pairs

SCRIPT = REPOSITORY / "benchmarks" / "on_gpu.py"


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script as a module, and let its parts be imported."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import on_gpu

    return on_gpu


@pytest.mark.slow
@pytest.mark.usefixtures("on_gpu")
def test_rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every part but the tests, which run of themselves, gives its rows and its section of the page."""
    parts = ["search_steps", "shared_search", "full_size", "throughput", "random_stacks"]
    words = ["--device", "cpu", "--minutes", "0.02", "--out", str(tmp_path / "out"), "--parts", *parts]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    threads = torch.get_num_threads()
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    torch.set_num_threads(threads)
    assert end.value.code == 0
    page = (tmp_path / "out" / "page.md").read_text()
    assert capsys.readouterr().out.rstrip("\n") == page.rstrip("\n")
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert not [row for row in rows if "traceback" in row], page
    by_part: dict[str, list[dict[str, Any]]] = {part: [row for row in rows if row["part"] == part] for part in parts}
    assert {row["what"] for row in by_part["search_steps"]} == {"against_plain", "variant", "bounds", "compiled"}
    assert all(row["epochs"] >= 1 for row in by_part["shared_search"])
    assert len(by_part["full_size"]) == len(by_part["throughput"]) == 5
    assert all(row["photos"] > 10 for row in by_part["full_size"])
    assert all(row["megapixels_per_second"] > 0 for row in by_part["throughput"])
    stacks = by_part["random_stacks"]
    assert len(stacks) >= 4 and {row["seed"] for row in stacks} == {0, 1}
    for row in stacks:
        assert set(row["short"]) | {str(row["steps"])} == set(row["curve"])
        assert 30 < row["psnr"]["photos"] < 60
    # The long training and the short ones begin alike, but for the learning rate.
    assert stacks[0]["short"]["20"] == pytest.approx(stacks[0]["curve"]["20"], abs=1.0)


def test_part_that_fails_leaves_the_others(
    on_gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(name: str, job: object) -> list[str]:
        if name == "full_size":
            raise RuntimeError("no kernel image\nis available")
        return [f"{name} is done"]

    monkeypatch.setattr(on_gpu, "_part", part)
    out = tmp_path / "out"
    assert on_gpu.main(["--device", "cpu", "--minutes", "1", "--out", str(out)]) == 0
    page = capsys.readouterr().out
    assert "Failed: `RuntimeError: no kernel image`" in page
    assert [name for name in on_gpu.SHARES if f"{name} is done" in page] == [
        name for name in on_gpu.SHARES if name != "full_size"
    ]
    assert (out / "page.md").read_text().strip() == page.strip()


def test_shares_of_the_time(on_gpu: ModuleType) -> None:
    assert sum(on_gpu.SHARES.values()) == pytest.approx(1)
    names = list(on_gpu.SHARES)
    assert on_gpu._share(names[0], names[1:], 100, 100) == pytest.approx(100 * on_gpu.SHARES[names[0]])
    # Late: each gets its part of what is left; early: no more than its share, but for the last.
    assert on_gpu._share(names[0], names[1:], 100, 50) == pytest.approx(50 * on_gpu.SHARES[names[0]])
    assert on_gpu._share(names[-1], [], 100, 70) == 70


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cpu", "--minutes", "1"], "is not empty; give another --out"),
        (["--minutes", "0"], "--minutes: 0.0 is not valid"),
    ],
)
def test_bad_input_is_one_line(
    on_gpu: ModuleType, arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("")
    try:
        code = on_gpu.main([*arguments, "--out", str(tmp_path)])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.usefixtures("on_gpu")
def test_cost_of_a_stack() -> None:
    """Counted block by block it is that of the whole network; branches are the one convolution that they become."""
    from on_gpu_parts.stacks import BLOCKS, Stack

    for cell in [*((name,) for name in BLOCKS if name != "branches"), ("conv", "gated", "bsconv")]:
        stack = Stack(12, cell, 2)
        assert stack.cost() == profile(stack.build().to("meta"), torch.zeros(1, 3, 480, 480, device="meta"))
    assert Stack(12, ("branches",), 3).cost() == Stack(12, ("conv",), 3).cost()


@pytest.mark.usefixtures("on_gpu")
def test_random_stacks_lie_in_their_range() -> None:
    from on_gpu_parts.stacks import random_stack

    draw = random.Random(3)
    stacks = [random_stack(draw) for _ in range(30)]
    assert all(3 <= stack.cost().gmacs <= 4 for stack in stacks)
    assert all(2 <= stack.repeats * len(stack.cell) <= 14 for stack in stacks)
    assert len({stack.width for stack in stacks}) > 5


@pytest.mark.usefixtures("on_gpu")
def test_stack_starts_from_bicubic() -> None:
    from on_gpu_parts.stacks import PLAIN, StackModel

    stack = PLAIN[0]
    network = stack.build()
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    image = load_pairs("embedded:photos", limit=1)[0].lr[:60, :70]
    found = StackModel(network, "plain", stack.cost())(image)
    expected = bicubic_upsample(image, 2)
    inside = (slice(8, -8), slice(8, -8))  # at the border torch leaves pixels out that the papers repeat
    assert np.abs(found[inside].astype(int) - expected[inside]).max() <= 2


@pytest.mark.usefixtures("on_gpu")
def test_training_begins_anew() -> None:
    """Two trainings of one network from the same weights are the same, whatever came between."""
    from on_gpu_parts.stacks import PLAIN
    from on_gpu_parts.training_steps import TrainingSteps

    torch.manual_seed(0)
    network = PLAIN[3].build()
    first = {name: weight.clone() for name, weight in network.state_dict().items()}
    lr, hr = torch.rand(3, 2, 3, 8, 8), torch.rand(3, 2, 3, 16, 16)
    steps = TrainingSteps(network, lr, hr, longest=8)
    ends = []
    for length in (4, 8, 4):
        network.load_state_dict(first)
        steps.begin(length)
        steps.advance(length)
        ends.append(torch.cat([weight.detach().flatten() for weight in network.parameters()]))
    torch.testing.assert_close(ends[2], ends[0], rtol=0, atol=0)
    assert (ends[1] - ends[0]).abs().max() > 0
    with pytest.raises(ValueError, match="9 steps are more than the 8"):
        steps.begin(9)
