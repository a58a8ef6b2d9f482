"""Trainings on several devices and several machines: processes of a CPU, joined by gloo as those of GPUs by NCCL."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nni_experiment import free_port
from tiny_training import GENOTYPE, TINY, train_by_hand

from hnas_nni import load
from hnas_nni.cli import main
from hnas_nni.training import TrainingSettings

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
BATCH = 4
MARGIN = 0.05
"""Of the PSNR of one process, in dB."""


def train_command(folder: Path, validation: str, *more: str) -> list[str]:
    """Return the training's words, from ``train`` on."""
    GENOTYPE.to_json(folder / "genotype.json")
    settings = {**TINY, "batch": BATCH, "validation": validation}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    return ["train", str(folder / "genotype.json"), "--out", str(folder / "run"), "--device", "cpu", *given, *more]


def psnrs(folder: Path) -> list[float]:
    """Return the PSNR after each epoch."""
    with (folder / "run" / "epochs.csv").open() as file:
        return [float(row["validation_psnr"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, small_image: str) -> list[float]:
    """PSNR after each epoch of the training in one process."""
    folder = tmp_path_factory.mktemp("alone")
    assert main(train_command(folder, small_image)) == 0
    return psnrs(folder)


def check(folder: Path, alone: list[float], validation: str, errors: str) -> None:
    """Compare with the training in one process, and by hand; nobody is told of what can't be changed."""
    assert psnrs(folder) == pytest.approx(alone, abs=MARGIN)
    expected = train_by_hand(replace(TrainingSettings(**TINY), batch=BATCH, validation=validation))[-1]
    weights = load(folder / "run" / "last.safetensors").state_dict()
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-6)
    assert "arning" not in errors, errors


@pytest.mark.slow
def test_two_processes_train_as_one(alone: list[float], tmp_path: Path, small_image: str) -> None:
    command = [sys.executable, "-m", "hnas_nni.cli", *train_command(tmp_path, small_image, "--devices=2")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check(tmp_path, alone, small_image, done.stderr)


@pytest.mark.slow
def test_two_machines_train_as_one(alone: list[float], tmp_path: Path, small_image: str) -> None:
    """As docs/training.md starts it, with one address for both."""
    port = free_port()
    words = train_command(tmp_path, small_image, "--devices=1", "--nodes=2")
    nodes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
                *(f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"),
                *("-m", "hnas_nni.cli", *words),
            ],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        ends = [node.communicate() for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    errors = "".join(error for _, error in ends)
    assert [node.returncode for node in nodes] == [0, 0], errors
    check(tmp_path, alone, small_image, errors)
    assert ["written to" in output for output, _ in ends] == [True, False]  # said by one of them


def test_several_nodes_need_torchrun(
    tmp_path: Path, small_image: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert main(train_command(tmp_path, small_image, "--nodes=2")) == 2
    assert "--nodes: start the same command on each of them by torchrun" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()
