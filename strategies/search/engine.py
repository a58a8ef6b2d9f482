"""The weight-sharing search (paper, Algorithm 1): weights and controller take turns, then architectures are derived."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from hnas_nni.architecture.spaces import PAPER, POSITION_LABEL
from hnas_nni.data import PatchSampler, hint_at_skipping, load_splits
from hnas_nni.files import replacing
from hnas_nni.network.devices import choose_device
from hnas_nni.network.model_file import save
from hnas_nni.network.state_file import save_state
from hnas_nni.network.weights_file import weights_file
from hnas_nni.output_folder import TENSORBOARD, OutputFolderError
from hnas_nni.searches.record import MeasuredArchitecture
from hnas_nni.searches.search_folder import (
    CHECKPOINT,
    MEASURED_COLUMNS,
    SUPERNET,
    WINNER_WEIGHTS,
    SearchFolder,
    from_row,
    to_row,
)
from hnas_nni.training.step import cosine_learning_rate
from strategies.layout import NETWORK_LEVEL
from strategies.search.derivation import derive, measure, measure_paper_networks
from strategies.search.progress import TensorBoardLog
from strategies.search.settings import SearchSettings
from strategies.search.supernet_training import SupernetTraining, make_supernet
from strategies.supernet_policy import Architecture, SupernetPolicy

CHECKPOINT_SECONDS = 60.0
"""How often a search saves its state within an epoch; it does so after each epoch too."""
_CONTROLLER_SEED = 1_000_003
"""Between the seeds of the two splits' patches."""


class WeightSharingSearch:
    """A search in a folder, which goes on where an earlier one with the same settings was stopped.

    On the CPU, with the same number of threads, a search that was killed at any instant and started again gives the
    same numbers as one that was not.

    Parameters
    ----------
    settings
        Of the search.
    folder
        Its folder, made if it does not exist.
    command
        Noted in the folder: how the search was started.
    on_epoch
        Called with the row of each epoch (:data:`hnas_nni.searches.search_folder.EPOCH_COLUMNS`) that ends in this
        session.
    progress
        Show a progress bar on standard error.
    checkpoint_seconds
        At most so much work is done again after a kill.

    Raises
    ------
    OutputFolderError
        If the folder holds something else, a search is running there, or one with other settings.
    ValueError
        If the device is not there, or the data can't be used.
    """

    def __init__(
        self,
        settings: SearchSettings,
        folder: Path,
        *,
        command: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        progress: bool = False,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.settings = settings
        self._checkpoint_seconds = checkpoint_seconds
        self.folder = SearchFolder(folder)
        self._command = command
        self._on_epoch = on_epoch
        self._progress = progress
        self._rows: list[dict[str, float]] = []
        self._measured: list[MeasuredArchitecture] = []
        self._seconds = 0.0

    def run(self) -> list[MeasuredArchitecture]:
        """Search to the end, and return the ranking, best first: see :meth:`SearchFolder.architectures`."""
        self._check_folder()
        if self.folder.exists and self.folder.finished:
            return self.folder.architectures()
        with self._locked_folder():
            self._resume()
            self._train()
            return self._finish()

    def _check_folder(self) -> None:
        if not self.folder.exists:
            return
        found = self.folder.about()["settings"]
        for name, value in self.settings.to_dict().items():
            if found.get(name) != value:
                option = SearchSettings.named(name)
                raise OutputFolderError(
                    f"{self.folder.path}: holds a search with {option} {found.get(name)}, not {value}; "
                    "give the same settings to go on with it, or another folder"
                )

    @contextmanager
    def _locked_folder(self) -> Iterator[None]:
        # Bad data, or a budget that nothing fits, must not leave a folder behind: both are looked at before it is made.
        settings = self.settings
        self._device = choose_device(settings.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        with hint_at_skipping():
            self._splits = load_splits(
                settings.data,
                settings.scale,
                validation=settings.validation,
                patch_size=settings.patch,
                seed=settings.seed,
                limit=settings.limit or None,
                strict=not settings.skip_unusable,
            )
        self._prepare()
        if not self.folder.exists:
            self.folder.create(settings.to_dict(), self._command)
        with self.folder.lock():
            yield

    def _prepare(self) -> None:
        settings = self.settings
        supernet = make_supernet(settings, self._device)
        self.policy = SupernetPolicy(
            supernet,
            settings.policy(),
            controller=settings.controller,
            relative=settings.relative,
            seed=settings.seed,
            budget=settings.bound(),
        )
        self.training = SupernetTraining(supernet, self.policy, settings, self._splits.validation)
        self._samplers = [
            PatchSampler(pairs, settings.scale, settings.patch, self._device, settings.seed + offset)
            for pairs, offset in ((self._splits.weight, 0), (self._splits.controller, _CONTROLLER_SEED))
        ]
        self._digest = self._splits.digest()
        self._epoch = 0
        self._step = 0
        self._sums = dict.fromkeys(("reward", "psnr", "gmacs"), 0.0)
        self._loss = torch.zeros((), device=self._device)
        self._paths: list[Architecture] = []
        self._started = self._saved = time.monotonic()

    def _train(self) -> None:
        settings = self.settings
        steps = settings.weight_steps + settings.controller_steps
        with (
            TensorBoardLog(self.folder.path / TENSORBOARD, self._rows) as log,
            tqdm(
                total=settings.epochs * steps,
                initial=self._epoch * steps + self._step,
                desc="search",
                unit="step",
                disable=not self._progress,
            ) as bar,
        ):
            while self._epoch < settings.epochs:
                while self._step < steps:
                    self._do_step()
                    bar.update()
                    if time.monotonic() - self._saved > self._checkpoint_seconds:
                        self._checkpoint()
                row = self._end_epoch()
                log.add(row)
                bar.set_postfix(PSNR=f"{row['validation_psnr']:.2f}", GMAC=f"{row['validation_gmacs']:.1f}")
                if self._on_epoch is not None:
                    self._on_epoch(row)

    def _do_step(self) -> None:
        settings = self.settings
        if self._step == 0:
            # Under one policy: drawn together they cost one pass of the controller.
            self._paths = self.policy.draw(settings.weight_steps)
        if self._step < settings.weight_steps:
            lr, hr = self._samplers[0].sample(settings.batch)
            rate = self._learning_rate(self._epoch * settings.weight_steps + self._step)
            self._loss += self.training.weight_step(self._paths[self._step], lr, hr, rate)
        else:
            self._controller_step()
        self._step += 1

    def _controller_step(self) -> None:
        architectures = self.policy.draw(self.settings.architectures)
        lr, hr = self._samplers[1].sample(self.settings.controller_batch)
        psnrs = self.training.batch_psnrs(architectures, lr, hr)
        gmacs = [self.training.cost(architecture).gmacs for architecture in architectures]
        reward = self.settings.reward()
        rewards = [reward(*figures) for figures in zip(psnrs, gmacs, strict=True)]
        if self._epoch >= self.settings.warmup_epochs:
            self.policy.learn(architectures, rewards)
        for name, values in (("reward", rewards), ("psnr", psnrs), ("gmacs", gmacs)):
            self._sums[name] += sum(values) / len(values)

    def _end_epoch(self) -> dict[str, float]:
        settings = self.settings
        loss = float(self._loss) / settings.weight_steps
        if not math.isfinite(loss):
            raise ValueError(f"--learning-rate: training diverged in epoch {self._epoch + 1}; give a smaller one")
        measured = [
            replace(measure(architecture, self.training, settings.reward()), epoch=self._epoch + 1)
            for architecture in self.policy.draw(settings.validation_architectures)
        ]
        found = {name: [getattr(entry, name) for entry in measured] for name in ("psnr", "reward", "gmacs")}
        statistics = self.policy.statistics()
        positions = statistics.network[POSITION_LABEL]
        steps = settings.controller_steps
        row = {
            "epoch": self._epoch + 1,
            "seconds": round(self._elapsed(), 3),
            "loss": loss,
            **{name: total / steps if steps else math.nan for name, total in self._sums.items()},
            "validation_psnr": fmean(found["psnr"]),
            "validation_psnr_best": max(found["psnr"]),
            **{f"validation_{name}": fmean(found[name]) for name in ("reward", "gmacs")},
            **{f"entropy_{name}": statistics.entropy[name] for name in ("normal", "upsampling")},
            "entropy_position": statistics.entropy[NETWORK_LEVEL],
            "weight_learning_rate": self._learning_rate((self._epoch + 1) * settings.weight_steps - 1),
            "controller_learning_rate": settings.controller_learning_rate,
            **{f"position_{position}": share for position, share in positions.items()},
        }
        self._rows.append(row)
        self._measured += measured
        self._epoch, self._step = self._epoch + 1, 0
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._loss = torch.zeros((), device=self._device)
        # The state first: an epoch that stands in the table has been done.
        self._checkpoint()
        self._write_tables()
        return row

    def _write_tables(self) -> None:
        if self._rows:
            self.folder.write_measured(self._measured)
            self.folder.write_epochs(self._rows)

    def _finish(self) -> list[MeasuredArchitecture]:
        settings = self.settings
        ranking = derive(
            self.policy, self.training, settings.reward(), settings.candidates, settings.rank_by, self._progress
        )
        self.training.finish()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.training.supernet.state_dict().items()}
        sizes = {name: str(getattr(settings, name)) for name in ("scale", "channels", "layers")}
        sizes |= {"space": settings.space, "normalization": settings.supernet_normalization}
        with replacing(self.folder.path / SUPERNET) as temporary:
            # Written by Python, which says why it can't be: safetensors' own errors tell nothing of a full disk.
            temporary.write_bytes(weights_file(tensors, {"format": "hnas-supernet", "version": "1", **sizes}))
        save(self.training.supernet.freeze(ranking[0].genotype.to_sample()), self.folder.path / WINNER_WEIGHTS)
        if settings.space == PAPER.name:
            self.folder.write_published(
                measure_paper_networks(self.policy, self.training, settings.reward(), settings.layers)
            )
        self.folder.write_architectures(ranking)
        return ranking

    def _learning_rate(self, step: int) -> float:
        total = self.settings.epochs * self.settings.weight_steps
        return cosine_learning_rate(step / total, self.settings.learning_rate, self.settings.last_learning_rate)

    def _elapsed(self) -> float:
        return self._seconds + time.monotonic() - self._started

    def _checkpoint(self) -> None:
        state = {
            "epoch": self._epoch,
            "step": self._step,
            "seconds": self._elapsed(),
            "images": self._digest,
            "rows": self._rows,
            "measured": [to_row(entry, MEASURED_COLUMNS) for entry in self._measured],
            "sums": self._sums,
            "loss": self._loss,
            "paths": [list(path.choices) for path in self._paths],
            "policy": self.policy.state_dict(),
            "training": self.training.state_dict(),
            "samplers": [sampler.state_dict() for sampler in self._samplers],
        }
        save_state(state, self.folder.path / CHECKPOINT)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        path = self.folder.path / CHECKPOINT
        if not path.exists():
            return
        try:
            state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
            if state["images"] != self._digest:
                raise OutputFolderError(f"{self.folder.path}: its images have changed since; start in another folder")
            self.policy.load_state_dict(_on_cpu(state["policy"]))
            self.training.load_state_dict(state["training"])
            for sampler, saved in zip(self._samplers, state["samplers"], strict=True):
                sampler.load_state_dict(saved)
            self._epoch, self._step, self._seconds = state["epoch"], state["step"], state["seconds"]
            self._rows, self._sums, self._loss = state["rows"], state["sums"], state["loss"]
            weight = self.settings.reward().weight
            self._measured = [from_row(row, MEASURED_COLUMNS, weight) for row in state["measured"]]
            self._paths = [self.policy.architecture(choices) for choices in state["paths"]]
        except OutputFolderError:
            raise
        except Exception as error:  # what a damaged file leads to is of many types
            raise self._damaged(path, error) from None
        # A kill may have come between the state and the tables.
        self._write_tables()

    @staticmethod
    def _damaged(path: Path, error: Exception) -> OutputFolderError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return OutputFolderError(f"{path}: damaged ({reason}); start in another folder")


def _on_cpu(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return {key: _on_cpu(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_on_cpu(value) for value in state)
    return state
