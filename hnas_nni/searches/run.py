"""A search of ``hnas search``, read from its run folder, finished or not."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.network.model_header import read_header
from hnas_nni.output_folder import OutputFolderError
from hnas_nni.searches.history import PolicyHistory, SearchHistory, Step
from hnas_nni.searches.places import portable, portable_command
from hnas_nni.searches.record import MeasuredArchitecture, best_first
from hnas_nni.searches.search_folder import WINNER_WEIGHTS, SearchFolder

_SIZES = ("scale", "channels", "layers")
_LEVELS = ("normal", "upsampling", "position")
_STEP_COLUMNS = ("reward", "psnr", "gmacs", "validation_reward", "validation_psnr", "validation_psnr_best")


class SearchRun(SearchFolder):
    """A run of ``hnas search`` as a :class:`hnas_nni.searches.Search`: its folder, read when it is asked for something.

    A file that is damaged is an :class:`hnas_nni.output_folder.OutputFolderError`, which names it.
    """

    @property
    def title(self) -> str:
        """The folder's name, how much it has found, and its lambda."""
        number = len(self.architectures())
        return f"search {self._name} ({number} architectures ranked, lambda {self.reward_weight:g})"

    @property
    def reward_weights(self) -> list[float]:
        """The one lambda of its rewards."""
        return [self.reward_weight]

    def to_dict(self) -> dict[str, object]:
        """Return what it is as a JSON document."""
        return {"run": self._name, "folder": os.path.realpath(self.path), "lambda": self.reward_weight}

    def ranking(self, reward_weight: float | None = None) -> list[MeasuredArchitecture]:
        """Return what was derived at the end, best first; refuses another lambda, and a search that has not ended."""
        if reward_weight not in (None, self.reward_weight):
            raise OutputFolderError(
                f"--lambda: {self.path} is a search with {self.reward_weight:g}, not {reward_weight:g}"
            )
        ranking = self.architectures()
        if not ranking:
            done, planned = len(self.epochs()), self.settings.get("epochs")
            raise OutputFolderError(
                f"{self.path}: architectures are ranked when the search ends; {done} of {planned} epochs are "
                f"done, {'wait for the rest' if self.running else 'start hnas search again to go on'}"
            )
        return ranking

    def find(self, name: str) -> tuple[Genotype, dict[str, int]]:
        """Return the architecture of a rank, or the ``best``, and the sizes of the search's networks."""
        ranking = self.ranking()
        found = [entry.genotype for entry in ranking if str(entry.rank) == ("1" if name == "best" else name)]
        if not found:
            raise OutputFolderError(
                f"{self.path}: has no architecture {name}; give its rank, 1 to {len(ranking)}, or best"
            )
        return found[0], {size: self.settings[size] for size in _SIZES if size in self.settings}

    def model_file(self, architecture: MeasuredArchitecture) -> Path:
        """Return the winner's model file, with the shared weights; there is none of another architecture."""
        weights = self.path / WINNER_WEIGHTS
        if not weights.is_file() or read_header(weights).architecture != architecture.genotype:
            raise OutputFolderError(
                f"--weights: {self.path} has no {WINNER_WEIGHTS}; it is there once a search has come to its end"
            )
        return weights

    def history(self) -> SearchHistory:
        """Return what a report tells of it."""
        about = self.about()
        settings: Mapping[str, Any] = about["settings"]
        epochs = self.epochs()
        _check_epochs(self.path, epochs)
        ranking = tuple(self.architectures())
        measured = _measured(self.measured(), settings.get("rank_by", "reward"))
        ranked = {entry.genotype for entry in ranking}
        data = portable(settings.get("data", "unknown"))
        created = about.get("created")
        name = self._name
        return SearchHistory(
            name=f"Search {name}",
            source=name,
            kind="weight-sharing search",
            unit="epoch",
            state="finished" if self.finished else "running" if self.running else "stopped",
            done=len(epochs),
            planned=settings.get("epochs"),
            started=datetime.fromisoformat(created).astimezone(timezone.utc) if created else None,
            seconds=epochs[-1].get("seconds") if epochs else None,
            data=", ".join(map(str, data)) if isinstance(data, list) else str(data),
            scale=settings.get("scale"),
            channels=settings.get("channels"),
            layers=settings.get("layers"),
            reward_weight=self.reward_weight,
            cost_scale=settings.get("cost_scale"),
            steps=tuple(_step(row) for row in epochs),
            policy=_policy(epochs),
            ranking=ranking or measured,
            provisional=not ranking,
            measured=tuple(entry for entry in measured if entry.genotype not in ranked) if ranking else (),
            published=tuple(self.published()),
            settings=settings,
            configuration=json.dumps(portable(settings), indent=2, ensure_ascii=False),
            command=portable_command(str(about.get("command", ""))),
            versions={name: str(version) for name, version in (about.get("versions") or {}).items()},
        )

    @property
    def _name(self) -> str:
        return os.path.basename(os.path.realpath(self.path))  # of "." too


def _check_epochs(path: Path, epochs: Sequence[Mapping[str, float]]) -> None:
    needed = {"epoch", "seconds", *_STEP_COLUMNS, *(f"entropy_{level}" for level in _LEVELS)}
    for row in epochs:
        if missing := sorted(needed - set(row)):
            raise OutputFolderError(f"{path / 'epochs.csv'}: damaged, has no column {missing[0]}")


def _step(row: Mapping[str, float]) -> Step:
    number = int(row["epoch"])
    figures: dict[str, Any] = {column: _finite(row[column]) for column in _STEP_COLUMNS}
    return Step(number, f"epoch {number}", **figures)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _policy(epochs: Sequence[Mapping[str, float]]) -> PolicyHistory:
    """Return the policy's columns; epochs without them, such as of a random search, are left out."""
    names = [name for name in (epochs[0] if epochs else {}) if name.startswith("position_")]
    names.sort(key=lambda name: int(name.removeprefix("position_")))
    columns = [*(f"entropy_{level}" for level in _LEVELS), *names]
    kept = [row for row in epochs if all(math.isfinite(row[column]) for column in columns)]
    if not kept:
        return PolicyHistory()
    return PolicyHistory(
        steps=tuple(int(row["epoch"]) for row in kept),
        entropies={level: tuple(row[f"entropy_{level}"] for row in kept) for level in _LEVELS},
        positions=tuple(tuple(row[name] for name in names) for row in kept) if names else (),
    )


def _measured(entries: Iterable[MeasuredArchitecture], rank_by: str) -> tuple[MeasuredArchitecture, ...]:
    """Return what was measured after the epochs, best first, each architecture by its last measurement.

    The last is with the weights that were trained the longest.
    """
    entries = list(entries)
    last = {entry.genotype: entry for entry in entries}
    times = Counter(entry.genotype for entry in entries)
    return tuple(replace(entry, evaluated=times[entry.genotype]) for entry in best_first(last.values(), rank_by))
