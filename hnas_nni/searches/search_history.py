"""A search of ``hnas search``, read from its run folder, finished or not."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.architecture.paper import name_in_network
from hnas_nni.output_folder import OutputFolderError
from hnas_nni.searches.history import Architecture, PolicyHistory, SearchHistory, Step
from hnas_nni.searches.search_folder import SearchFolder, best_first

_LEVELS = ("normal", "upsampling", "position")
_STEP_COLUMNS = ("reward", "psnr", "gmacs", "validation_reward", "validation_psnr", "validation_psnr_best")


def read_run_history(path: Path) -> SearchHistory:
    """Read a run folder.

    Raises
    ------
    OutputFolderError
        If a file is damaged; the message names it.
    """
    run = SearchFolder(path)
    about = run.about()
    settings: Mapping[str, Any] = about["settings"]
    epochs = run.epochs()
    _check_epochs(path, epochs)
    ranking = tuple(_architecture(row, f"architecture {row['rank']}") for row in run.architectures())
    measured = _measured(run.measured(), settings.get("rank_by", "reward"))
    ranked = {entry.genotype for entry in ranking}
    data = settings.get("data", "unknown")
    created = about.get("created")
    return SearchHistory(
        name=f"Search {path.resolve().name}",
        source=path.resolve().name,
        kind="weight-sharing search",
        unit="epoch",
        state="finished" if run.finished else "running" if run.running else "stopped",
        done=len(epochs),
        planned=settings.get("epochs"),
        started=datetime.fromisoformat(created).astimezone(timezone.utc) if created else None,
        seconds=epochs[-1].get("seconds") if epochs else None,
        data=", ".join(map(str, data)) if isinstance(data, list) else str(data),
        scale=settings.get("scale"),
        channels=settings.get("channels"),
        layers=settings.get("layers"),
        reward_weight=settings.get("lambda", settings.get("reward_lambda")),
        cost_scale=settings.get("cost_scale"),
        steps=tuple(_step(row) for row in epochs),
        policy=_policy(epochs),
        ranking=ranking or measured,
        provisional=not ranking,
        measured=tuple(entry for entry in measured if entry.genotype not in ranked) if ranking else (),
        published=tuple(_architecture(row, name_in_network(row["name"], row["genotype"])) for row in run.published()),
        settings=settings,
        configuration=json.dumps(settings, indent=2, ensure_ascii=False),
        command=about.get("command", ""),
        versions={name: str(version) for name, version in (about.get("versions") or {}).items()},
    )


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


def _architecture(row: Mapping[str, Any], name: str, **more: Any) -> Architecture:
    figures = {column: row[column] for column in ("genotype", "reward", "psnr", "gmacs", "params")}
    return Architecture(name=name, **figures, **more)


def _measured(rows: Sequence[Mapping[str, Any]], rank_by: str) -> tuple[Architecture, ...]:
    """Return what was measured after the epochs, best first, each architecture by its last measurement.

    The last is with the weights that were trained the longest.
    """
    last = {row["genotype"]: row for row in rows}
    times = Counter(row["genotype"] for row in rows)
    return tuple(
        _architecture(row, f"architecture of epoch {row['epoch']}", step=row["epoch"], evaluated=times[row["genotype"]])
        for row in best_first(last.values(), rank_by)
    )
