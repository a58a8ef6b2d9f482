"""The table of architectures, and the comparison of strategies on it."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from architecture_table import ArchitectureTable, SubSpace, default_subspace, table_space
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.strategy import GridSearch
from repository import REPOSITORY
from rounding import same_psnr
from table_builder import BuildSettings, SubSpaceTraining, build_table

from hnas_nni.cost import count
from hnas_nni.metrics import psnr_y_batch
from hnas_nni.network.first_weights import multiply_by_paths
from hnas_nni.network.network import DIV2K_MEAN_RGB, HNASNetwork
from hnas_nni.training.step import patch_psnr
from search_spaces.path_training import PathTraining

SETTINGS = BuildSettings(channels=1, layers=2, steps=5, batch=1, patch=16, measured_patches=3, cost_channels=2)


def small_subspace() -> SubSpace:
    """Return eight architectures of the default part."""
    whole = default_subspace(layers=2)
    free = {
        "normal/op_2_0": ("identity", "rcab"),
        "upsampling/op_2_0": ("nearest", "deconv"),
        "upsample_position": (1, 2),
    }
    rest = {label: values[0] for label, values in whole.free.items() if label not in free}
    return SubSpace(free, {**whole.fixed, **rest})


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = REPOSITORY / "benchmarks" / "compare_strategies" / "__main__.py"
    spec = importlib.util.spec_from_file_location("compare_strategies", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_strategies"] = module  # the searches run in processes that import it by its name
    spec.loader.exec_module(module)
    return module


def test_rows_are_in_the_order_of_the_samples() -> None:
    subspace = default_subspace(layers=2)
    samples = list(subspace.samples())
    assert len(samples) == len(subspace) == 4**3 * 2 * 5 * 2
    assert [subspace.index(sample) for sample in samples] == list(range(len(samples)))
    assert len({subspace.genotype(sample) for sample in samples}) == len(samples)
    with pytest.raises(ValueError, match="normal/op_2_0: is free and fixed"):
        SubSpace(subspace.free, {**subspace.fixed, "normal/op_2_0": "identity"})


def averaging(network: HNASNetwork) -> HNASNetwork:
    """Make the nodes of a frozen network average their two edges, as those of the supernet do."""
    multiply_by_paths(network)
    for block in network.blocks:
        for edges in block.ops:
            for operation in edges:
                operation.register_forward_hook(lambda module, inputs, output: output / 2)
    return network


@pytest.mark.slow
def test_a_table_holds_psnr_and_cost_of_each_network(tmp_path: Path) -> None:
    """The PSNR is that of the plain network with the supernet's weights, the cost that of thop."""
    subspace = small_subspace()
    table = build_table(subspace, SETTINGS, tmp_path / "table.npz")
    assert table.complete
    assert [path.name for path in tmp_path.iterdir()] == ["table.npz"]
    training = SubSpaceTraining(subspace, SETTINGS)
    training.run(lambda: None)
    low, high = training._measured
    for row, sample in enumerate(subspace.samples()):
        genotype = subspace.genotype(sample)
        network = averaging(training.supernet.freeze(genotype.to_sample()))
        assert table.psnr[row] == same_psnr(patch_psnr(network, low, high, 2))
        assert table.gmacs[row] == count(genotype, channels=2, layers=2).gmacs
    loaded = ArchitectureTable.load(tmp_path / "table.npz")
    assert loaded.subspace == subspace
    assert np.array_equal(loaded.psnr, table.psnr)


@pytest.mark.slow
def test_a_table_is_one_of_networks_that_work(tmp_path: Path) -> None:
    """Even hardly trained, the worst one is far from the mean colour, which shared weights may well be stuck at."""
    settings = replace(SETTINGS, channels=8, steps=20, batch=2, patch=32)
    table = build_table(small_subspace(), settings, tmp_path / "table.npz")
    _, high = SubSpaceTraining(small_subspace(), settings)._measured
    mean_colour = torch.tensor(DIV2K_MEAN_RGB).view(1, 3, 1, 1).expand(high.shape)
    assert table.psnr.min() > float(psnr_y_batch(mean_colour, high, 2).mean()) + 6


def interrupt_at(call: int, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Make a method raise KeyboardInterrupt at that call, counted from 1."""
    method, calls = getattr(owner, name), itertools.count(1)

    def interrupted(*arguments: object, **keywords: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return method(*arguments, **keywords)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ArchitectureTable:
    """Return a table that was built without an interruption."""
    return build_table(small_subspace(), SETTINGS, tmp_path_factory.mktemp("whole") / "table.npz")


@pytest.mark.slow
def test_a_table_interrupted_while_measured_is_completed(
    whole: ArchitectureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.npz"
    with monkeypatch.context() as patch:
        interrupt_at(4, patch, SubSpaceTraining, "psnr")
        with pytest.raises(KeyboardInterrupt):
            build_table(small_subspace(), SETTINGS, path, save_seconds=0)
    assert int(np.isfinite(ArchitectureTable.load(path).psnr).sum()) == 3
    with monkeypatch.context() as patch:
        interrupt_at(1, patch, PathTraining, "step")  # it is trained already
        table = build_table(small_subspace(), SETTINGS, path)
    assert np.array_equal(table.psnr, whole.psnr)
    with pytest.raises(ValueError, match="holds a table of other settings"):
        build_table(small_subspace(), replace(SETTINGS, seed=1), path)


@pytest.mark.slow
def test_a_table_interrupted_while_trained_equals_one_that_was_not(
    whole: ArchitectureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, Adam's moments, the learning rate, the drawn paths and patches all go on."""
    path = tmp_path / "table.npz"
    with monkeypatch.context() as patch:
        interrupt_at(4, patch, PathTraining, "step")
        with pytest.raises(KeyboardInterrupt):
            build_table(small_subspace(), SETTINGS, path, save_seconds=0)
    assert np.isnan(ArchitectureTable.load(path).psnr).all()
    path.unlink()
    with pytest.raises(ValueError, match=r"table.npz.supernet.pt: is the supernet of another table; remove it$"):
        build_table(small_subspace(), replace(SETTINGS, seed=1), path)
    with monkeypatch.context() as patch:
        interrupt_at(3, patch, PathTraining, "step")  # two of five steps are left, the fourth again
        table = build_table(small_subspace(), SETTINGS, path)
    assert np.array_equal(table.psnr, whole.psnr)
    assert [path.name for path in tmp_path.iterdir()] == ["table.npz"]


def test_strategies_get_their_answers_from_the_table() -> None:
    subspace = small_subspace()
    rewards = np.arange(8.0)
    engine = SequentialExecutionEngine()
    GridSearch(seed=0)(table_space(subspace, rewards), engine)
    models = engine.list_models()
    assert sorted(model.metric for model in models) == rewards.tolist()
    assert all(model.metric == subspace.index(model.sample) for model in models)


def test_evaluations_are_counted_to_the_first_that_is_good_enough(program: ModuleType) -> None:
    rewards = np.arange(300.0)
    assert program.top_threshold(rewards) == 297  # three of 300
    assert program.needed(np.array([5.0, 297.0, 299.0]), 297.0) == 2
    assert program.needed(np.array([5.0, 296.0]), 297.0) is None
    runs = {"a": [np.array([5.0, 298.0]), np.array([1.0, 2.0])]}
    row = program.summary(runs, rewards, budget=2)[1]
    assert row == ["a", "≥ 2 ± 0", "2", "1/2", "-149.00 ± 148.00"]
    head = program.summary({"a": [np.arange(100.0)]}, rewards, budget=120)
    assert head[0][4:] == ["best of 50", "best of 100", "best of 120"]
    assert head[1][4:] == ["-250.00 ± 0.00", "-200.00 ± 0.00", "-200.00 ± 0.00"]


@pytest.mark.slow
def test_the_program_compares_strategies(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subspace = default_subspace(layers=2)
    psnr = np.random.default_rng(0).normal(30, 1, len(subspace))
    ArchitectureTable(subspace, psnr, np.ones(len(subspace)), {}).save(tmp_path / "table.npz")
    files = ["--csv", str(tmp_path / "out.csv")]
    command = ["run", str(tmp_path / "table.npz"), "--seeds", "2", "--budget", "6", "--workers", "1", "--lambda", "1"]
    names = ["Random", "TPE", "HierarchicalRL"]
    assert program.main([*command, *files, "--only", *names]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == names
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with open(tmp_path / "out.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["strategy"], row["seed"]].append(float(row["reward"]))
    assert {key: len(values) for key, values in found.items()} == {(name, seed): 6 for name in names for seed in "01"}
    assert all(set(values) <= set(psnr.tolist()) for values in found.values())
    assert found["Random", "0"] != found["Random", "1"]
    assert program.main([*command, *files]) == 2
    assert "exists already" in capsys.readouterr().err
    assert program.main([*command, "--vary", "learning_rate", "0.001", "0.1", "--vary", "conditioned", "false"]) == 0
    names = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()[2:]]
    settings = ["learning_rate=0.001", "learning_rate=0.1", "conditioned=false"]
    assert names == ["HierarchicalRL", *(f"HierarchicalRL, {setting}" for setting in settings)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table.npz", "--vary", "lr", "0.1"], "--vary: lr=0.1: lr: is unknown; the settings"),
        (["run", "table.npz", "--vary", "learning_rate", "fast"], "--vary: learning_rate=fast: "),
        (["run", "table.npz", "--seeds", "0"], "--seeds: 0 is not valid"),
        (["build", "table.npz", "--learning-rate", "-1"], "learning_rate: -1.0 is not valid; give a number above 0"),
        (["build", "table.npz", "--patch", "25"], "patch: 25 is not valid; give a multiple of the scale 2"),
        (["build", "table.npz", "--data", "nowhere"], "data: nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, program: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_ppo_is_left_out_where_it_can_not_run(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    parse = program._parser().parse_args
    names = program._contenders(parse(["run", "table.npz"]))
    assert names == [name for name in program.CONTENDERS if "PPO" not in name]
    assert "pip install" in capsys.readouterr().err
    with pytest.raises(ValueError, match="needs tianshou"):
        program._contenders(parse(["run", "table.npz", "--only", "PolicyBasedRL (PPO)"]))


def test_an_incomplete_table_is_refused(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subspace = small_subspace()
    ArchitectureTable(subspace, np.full(8, np.nan), np.ones(8), {}).save(tmp_path / "table.npz")
    assert program.main(["run", str(tmp_path / "table.npz")]) == 2
    assert "is not complete; run `build`" in capsys.readouterr().err
    (tmp_path / "other.npz").write_text("no table")
    assert program.main(["run", str(tmp_path / "other.npz")]) == 2
    assert "is not an architecture table" in capsys.readouterr().err
    assert program.main(["run", str(tmp_path / "none.npz")]) == 2


def test_the_programs_defaults_are_those_of_the_builder(program: ModuleType) -> None:
    options = program._parser().parse_args(["build", "table.npz"])
    default = BuildSettings()
    assert {name: getattr(options, name) for name in vars(default)} == vars(default)
