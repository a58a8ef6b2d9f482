"""hnas search: what it leaves, that a kill costs nothing, and how it refuses bad input."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from options import with_options
from PIL import Image
from rounding import same_psnr
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hnas_nni import HNAS_A, HNAS_B, HNAS_C, Genotype, load
from hnas_nni.cli import main
from hnas_nni.cost import count
from hnas_nni.data import load_splits
from hnas_nni.inference import NetworkModel
from hnas_nni.inference.evaluation import evaluate
from hnas_nni.metrics import psnr_y
from hnas_nni.searches import MeasuredArchitecture
from hnas_nni.searches.pareto import pareto_set
from hnas_nni.searches.search_folder import SearchFolder
from hnas_nni.trial.reward import JointReward
from search_spaces import HNASSpace
from strategies.search import SearchSettings, WeightSharingSearch

pytestmark = pytest.mark.slow


def _check_cost_and_reward(row: MeasuredArchitecture) -> None:
    cost = count(row.genotype, scale=2, channels=4, layers=3)
    assert row.gmacs == cost.gmacs
    assert row.params == cost.params
    assert row.reward == pytest.approx(JointReward()(row.psnr, row.gmacs))


def _psnr(finished: Path, genotype: Genotype, held_out: str) -> float:
    """Return PSNR from the files alone: a plain network, whole images."""
    from nni.nas.strategy import RandomOneShot

    supernet = RandomOneShot().mutate_model(HNASSpace(scale=2, channels=4, layers=3))
    supernet.load_state_dict(load_file(finished / "supernet.safetensors"))
    network = supernet.freeze(genotype.to_sample())
    psnrs = []
    for pair in load_splits(validation=held_out, limit=2, patch_size=24, seed=5).validation:
        with torch.inference_mode():
            sr = network(torch.from_numpy(pair.lr).permute(2, 0, 1)[None].float() / 255)
        image = (sr[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        psnrs.append(psnr_y(np.ascontiguousarray(image), pair.hr, 2))
    return sum(psnrs) / len(psnrs)


def test_ranking_is_of_the_shared_weights_and_the_architectures_own_cost(finished: Path, held_out: str) -> None:
    ranking = SearchFolder(finished).architectures()
    assert 1 < len(ranking) <= 6
    assert len({row.genotype for row in ranking}) == len(ranking)
    for row in ranking[:2]:
        _check_cost_and_reward(row)
        assert row.psnr == same_psnr(_psnr(finished, row.genotype, held_out))
    rewards = [row.reward for row in ranking]
    assert rewards == sorted(rewards, reverse=True)
    assert Genotype.from_json(finished / "winner.json") == ranking[0].genotype
    assert Genotype.from_json(finished / "genotypes" / "02.json") == ranking[1].genotype
    with (finished / "architectures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["rank", "reward", "psnr", "gmacs", "params", "position", "pareto", "genotype"]
    assert [(row["rank"], row["position"], row["genotype"]) for row in rows] == [
        (str(place), str(entry.genotype.position), str(entry.genotype)) for place, entry in enumerate(ranking, start=1)
    ]


def test_the_winner_comes_as_a_network(
    finished: Path, held_out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the shared weights: on whole images it has the PSNR of the ranking."""
    file = tmp_path / "winner.safetensors"
    assert main(["best", str(finished), "--weights", str(file)]) == 0
    assert f"weights of the winner written to {file}" in capsys.readouterr().out
    network = load(file)
    (winner, *_) = SearchFolder(finished).architectures()
    assert network.genotype == winner.genotype
    scores = evaluate(
        NetworkModel(network), load_splits(validation=held_out, limit=2, patch_size=24, seed=5).validation
    )
    assert scores.psnr == same_psnr(winner.psnr)


def test_the_papers_cells_are_measured_as_the_candidates_are_and_do_not_win(finished: Path, held_out: str) -> None:
    rows = SearchFolder(finished).published()
    assert [row.published for row in rows] == ["HNAS-A", "HNAS-B", "HNAS-C"]
    for row, paper in zip(rows, (HNAS_A, HNAS_B, HNAS_C), strict=True):
        assert row.genotype == replace(paper, position=3)  # the last block there is
        _check_cost_and_reward(row)
    assert rows[1].psnr == same_psnr(_psnr(finished, rows[1].genotype, held_out))
    ranked = {row.genotype for row in SearchFolder(finished).architectures()}
    assert not ranked & {row.genotype for row in rows}


def test_what_was_measured_after_each_epoch_is_kept(finished: Path) -> None:
    epochs, measured = SearchFolder(finished).epochs(), SearchFolder(finished).measured()
    assert [row.epoch for row in measured] == [1, 1, 2, 2, 3, 3]
    for row in measured:
        _check_cost_and_reward(row)
    for epoch in epochs:
        rows = [row for row in measured if row.epoch == epoch["epoch"]]
        assert sum(row.psnr for row in rows) / 2 == pytest.approx(epoch["validation_psnr"])
        assert max(row.psnr for row in rows) == epoch["validation_psnr_best"]
        assert sum(row.reward for row in rows) / 2 == pytest.approx(epoch["validation_reward"])
        assert sum(row.gmacs for row in rows) / 2 == pytest.approx(epoch["validation_gmacs"])


def test_every_epoch_is_logged(finished: Path) -> None:
    rows = SearchFolder(finished).epochs()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert all(math.isfinite(value) for value in row.values())
        assert sum(row[f"position_{position}"] for position in (1, 2, 3)) == pytest.approx(1)
        assert 0 < row["entropy_position"] <= math.log(3) + 1e-6
        assert row["reward"] == pytest.approx(JointReward()(row["psnr"], row["gmacs"]))
    rates = [row["weight_learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1.1e-4
    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars("validation/psnr")]
    assert logged == [(row["epoch"], pytest.approx(row["validation_psnr"], rel=1e-6)) for row in rows]
    assert {"position/1", "entropy/upsampling", "loss", "reward"} <= set(events.Tags()["scalars"])


def test_folder_holds_what_is_needed_to_reproduce_it(finished: Path) -> None:
    about = json.loads((finished / "settings.json").read_text())
    assert about["settings"]["seed"] == 5
    assert about["versions"]["torch"] == torch.__version__.split("+")[0]
    assert SearchSettings(**about["settings"]).to_dict() == about["settings"]


def _figures(folder: Path) -> list[dict[str, str]]:
    with (folder / "epochs.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_killed_and_started_again_it_gives_the_same_numbers(finished: Path, tmp_path: Path, options: list[str]) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "hnas_nni.cli", "search", *options, "--out", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--checkpoint-seconds", "0"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + 300
        # In the middle of the second epoch: one stands in the table, and the state is newer than the table.
        epochs, state = folder / "epochs.csv", folder / "checkpoint.pt"
        while not (epochs.exists() and state.stat().st_mtime_ns > epochs.stat().st_mtime_ns):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    saved = torch.load(state, weights_only=True)
    assert saved["epoch"] < 3
    assert len(_figures(folder)) < 3
    assert not (folder / "architectures.csv").exists()
    assert main(["search", *options, "--out", str(folder), "--quiet"]) == 0
    assert _figures(folder) == _figures(finished)
    for table in ("measured.csv", "published.csv", "architectures.csv"):
        assert (folder / table).read_bytes() == (finished / table).read_bytes()
    first, second = (load_file(path / "supernet.safetensors") for path in (folder, finished))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    # TensorBoard shows each epoch once.
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]


def test_killed_between_an_epochs_state_and_its_tables_it_writes_them(
    finished: Path, tmp_path: Path, options: list[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "architectures.csv").unlink()
    for table in ("epochs.csv", "measured.csv"):
        lines = (folder / table).read_text().splitlines(keepends=True)
        (folder / table).write_text("".join(lines[:-1]))
    assert main(["search", *options, "--out", str(folder), "--quiet"]) == 0
    for table in ("epochs.csv", "measured.csv", "architectures.csv"):
        assert (folder / table).read_bytes() == (finished / table).read_bytes()


def test_finished_search_is_shown_again_and_not_run(
    finished: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "checkpoint.pt").stat().st_mtime_ns
    assert main(["search", *options, "--out", str(finished), "--json"]) == 0
    ranking = json.loads(capsys.readouterr().out)
    assert ranking[0]["rank"] == 1
    assert ranking[0]["psnr"] == SearchFolder(finished).architectures()[0].psnr
    assert main(["search", *options, "--out", str(finished)]) == 0
    out = capsys.readouterr().out
    assert "has finished before" in out
    assert f"winner: {finished / 'winner.json'}" in out
    assert (finished / "checkpoint.pt").stat().st_mtime_ns == before


def test_random_search_learns_nothing(tmp_path: Path) -> None:
    settings = SearchSettings(
        layers=2, channels=2, batch=1, patch=16, epochs=1, weight_steps=1, controller_steps=1, limit=1, candidates=2,
        controller="random", validation_architectures=1,
    )  # fmt: skip
    search = WeightSharingSearch(settings, tmp_path / "run")
    search.run()
    assert search.policy.policy.updates == 0
    (row,) = SearchFolder(tmp_path / "run").epochs()
    assert row["position_1"] == row["position_2"] == 0.5
    assert row["entropy_position"] == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lambda", "2"], "--lambda: 2.0 is not valid"),
        (["--patch", "25"], "--patch: 25 is not valid; give a multiple of the scale 2"),
        (["--epochs", "0"], "--epochs: 0 is not valid"),
        (["--data", "nowhere"], "--data: nowhere: no such folder"),
        (["--validation", "nowhere"], "--validation: nowhere: no such folder"),
        (["--entropy-weight", "-1"], "--entropy-weight: -1.0 is not valid"),
        (["--relative", "--architectures", "1"], "--relative: compares"),
        (["--controller", "none"], "argument --controller: invalid choice"),
        (["--epoch", "3"], "unrecognized arguments: --epoch"),
        (["--seed", str(2**64)], f"--seed: {2**64} is not valid; give a whole number from 0 to {2**32 - 1}"),
        (["--epochs", "2", "--warmup-epochs", "3"], "--warmup-epochs: 3 are more than the 2 --epochs"),
        (["--checkpoint-seconds", "nan"], "--checkpoint-seconds: nan is not valid"),
    ],
)
def test_bad_options_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "--out", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_bad_data_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    options = options[: options.index("--validation")]
    (tmp_path / "empty").mkdir()
    small = tmp_path / "small"
    small.mkdir()
    for number in range(4):
        Image.new("RGB", (12, 12), (number, 0, 0)).save(small / f"{number}.png")
    broken = tmp_path / "broken"
    broken.mkdir()
    for number in range(4):
        (broken / f"{number}.png").write_bytes(b"no image")
    run = tmp_path / "run"
    for folder in ("empty", "small", "broken"):
        for skip in ([], ["--skip-unusable"]):
            assert (
                main(["search", *with_options(options, *skip, "--data", str(tmp_path / folder), "--out", str(run))])
                == 2
            )
            assert folder in capsys.readouterr().err.splitlines()[-1]
            assert not run.exists()
    for number in range(4, 9):
        noise = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(broken / f"{number}.png")
    arguments = ["search", *with_options(options, "--data", str(broken), "--limit", "0", "--out", str(run))]
    assert main(arguments) == 2
    message = "not an image that Pillow knows; mend or remove it, or give --skip-unusable"
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not run.exists()
    assert main([*arguments, "--skip-unusable"]) == 0


def test_other_settings_and_other_folders_are_refused(
    finished: Path, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert main(["search", *with_options(options, "--lambda", "0.9"), "--out", str(finished)]) == 2
    assert "holds a search with --lambda 0.6, not 0.9" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["search", *options, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "exists and is not a search's folder" in said and "search in" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_searches_in_one_folder_are_kept_apart(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from argparse import ArgumentParser

    from strategies.search.command import configure, settings_of

    parser = ArgumentParser()
    configure(parser)
    folder = SearchFolder(tmp_path / "run")
    folder.create(settings_of(parser.parse_args([*options, "--out", "run"])).to_dict(), "hnas search")
    with folder.lock():
        assert main(["search", *options, "--out", str(tmp_path / "run")]) == 2
    assert "a search is running here" in capsys.readouterr().err


def test_damaged_checkpoint_is_named(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from argparse import ArgumentParser

    from strategies.search.command import configure, settings_of

    parser = ArgumentParser()
    configure(parser)
    folder = SearchFolder(tmp_path / "run")
    folder.create(settings_of(parser.parse_args([*options, "--out", "run"])).to_dict(), "hnas search")
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    torch.save(["a list"], tmp_path / "list.pt")
    torch.save({"images": "others"}, tmp_path / "images.pt")
    torch.save({}, tmp_path / "empty.pt")
    for content, message in (
        (b"torn", "checkpoint.pt: damaged"),
        (b"a text file, as somebody may have put there", "checkpoint.pt: damaged"),
        ((tmp_path / "list.pt").read_bytes(), "checkpoint.pt: damaged"),
        ((tmp_path / "empty.pt").read_bytes(), "checkpoint.pt: damaged"),
        ((tmp_path / "images.pt").read_bytes(), "run: its images have changed since; start in another folder"),
    ):
        checkpoint.write_bytes(content)
        assert main(["search", *options, "--out", str(tmp_path / "run"), "--quiet"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert checkpoint.read_bytes() == content


def test_what_killed_writes_left_is_removed_and_disturbs_nothing(
    finished: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A kill while the first file is written leaves a part of it, in a folder that is no search's yet."""
    run = tmp_path / "run"
    run.mkdir()
    for name in (".0123abcd.part", ".89abcdef.part"):
        (run / name).write_text("half")
    assert main(["search", *options, "--out", str(run)]) == 0
    assert not list(run.glob(".*.part"))
    assert _figures(run) == _figures(finished)


def test_a_kill_between_the_state_and_the_logs_loses_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SearchSettings(**json.loads((finished / "settings.json").read_text())["settings"])

    class Killed(BaseException):
        pass

    def killed(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SearchFolder, "write_measured", killed)  # the first thing after the state of an epoch
        with pytest.raises(Killed):
            WeightSharingSearch(settings, tmp_path / "run").run()
    assert not (tmp_path / "run" / "epochs.csv").exists()
    WeightSharingSearch(settings, tmp_path / "run").run()
    assert _figures(tmp_path / "run") == _figures(finished)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/psnr")] == [1, 2, 3]


def test_pareto_set_by_hand() -> None:
    #          best     cheap   dominated  dominated by the first  equal to the second
    points = [(30, 9.0), (25, 1.0), (24, 2.0), (30, 9.5), (25, 1.0)]
    assert pareto_set(points) == {0, 1, 4}
    assert pareto_set([(20.0, 5.0)]) == {0}
    assert pareto_set([(20.0, 5.0), (20.0, 4.0), (21.0, 5.0)]) == {1, 2}
