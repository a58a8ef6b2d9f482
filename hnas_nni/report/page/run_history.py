"""A search of ``hnas search``, read from its run folder, finished or not."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hnas_nni.genotype import Genotype, GenotypeError
from hnas_nni.report.page.history import Architecture, PolicyHistory, SearchHistory, Step

SETTINGS_FILE = "settings.json"
EPOCHS_FILE = "epochs.csv"
ARCHITECTURES_FILE = "architectures.csv"
_LEVELS = ("normal", "upsampling", "position")
_LEAST_SILENCE = 300.0
"""A run is taken for stopped after this many seconds without a new epoch, or after five epochs' time if longer."""


class RunFolderError(ValueError):
    """A run folder that can't be read; the message names the file and says what to do."""


def is_run_folder(path: Path) -> bool:
    """Whether a folder is that of a run of ``hnas search``."""
    return (path / SETTINGS_FILE).is_file()


def read_run_history(run: Path) -> SearchHistory:
    """Read a run folder.

    Raises
    ------
    RunFolderError
        If a file is missing or damaged; the message names it, and the line.
    """
    document = _document(run / SETTINGS_FILE)
    settings: Mapping[str, Any] = document["settings"]
    rows = _rows(run / EPOCHS_FILE) if (run / EPOCHS_FILE).is_file() else []
    ranking = _ranking(run / ARCHITECTURES_FILE) if (run / ARCHITECTURES_FILE).is_file() else ()
    planned = settings.get("epochs")
    data = settings.get("data", "unknown")
    seconds = _number(rows[-1].get("seconds")) if rows else None
    created = document.get("created")
    return SearchHistory(
        name=f"Search {run.resolve().name}",
        source=run.resolve().name,
        kind="one-shot search",
        unit="epoch",
        state=_state(run, rows, planned, bool(ranking)),
        done=len(rows),
        planned=planned,
        started=datetime.fromisoformat(created).astimezone(timezone.utc) if created else None,
        seconds=seconds,
        data=", ".join(map(str, data)) if isinstance(data, list) else str(data),
        scale=settings.get("scale"),
        channels=settings.get("channels"),
        layers=settings.get("layers"),
        reward_weight=settings.get("lambda"),
        cost_scale=settings.get("cost_scale"),
        steps=tuple(_step(row) for row in rows),
        policy=_policy(rows),
        ranking=ranking,
        settings=settings,
        configuration=json.dumps(settings, indent=2, ensure_ascii=False),
        command=document.get("command", ""),
        versions={name: str(version) for name, version in (document.get("versions") or {}).items()},
    )


def _document(file: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(f"{file.parent}: not a run of hnas search, which holds {file.name}") from error
    except ValueError as error:
        raise RunFolderError(f"{file}: damaged, not valid JSON ({error}); restore it from a copy") from error
    if not isinstance(document, dict) or not isinstance(document.get("settings"), dict):
        raise RunFolderError(f'{file}: damaged, has no "settings"; restore it from a copy')
    return document


def _rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table; a last line that is still being written is left out."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{file}: damaged, not a text file; restore it from a copy") from error
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    reader = csv.DictReader(lines)
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise RunFolderError(
                f"{file}: line {reader.line_num} is damaged, it has not {len(reader.fieldnames or ())} "
                "fields; remove the line"
            )
        rows.append(row)
    return rows


def _checked_number(file: Path, line: int, row: Mapping[str, str], name: str) -> float:
    value = _number(row.get(name))
    if value is None:
        raise RunFolderError(f"{file}: line {line} is damaged, {name} is {row.get(name)!r}; remove the line")
    return value


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _step(row: Mapping[str, str]) -> Step:
    number = int(_number(row.get("epoch")) or 0)
    keys = ("reward", "psnr", "gmacs", "validation_psnr", "validation_psnr_best")
    return Step(number, f"epoch {number}", *(_number(row.get(key)) for key in keys))


def _policy(rows: Sequence[Mapping[str, str]]) -> PolicyHistory:
    names = [name for name in (rows[0] if rows else {}) if name.startswith("position_")]
    names.sort(key=lambda name: int(name.rpartition("_")[2]))
    kept = []
    for row in rows:
        entropies = [_number(row.get(f"entropy_{level}")) for level in _LEVELS]
        positions = [_number(row.get(name)) for name in names]
        if None not in entropies and None not in positions:
            kept.append((int(_number(row["epoch"]) or 0), entropies, positions))
    return PolicyHistory(
        steps=tuple(epoch for epoch, _, _ in kept),
        entropies={level: tuple(entropies[i] or 0.0 for _, entropies, _ in kept) for i, level in enumerate(_LEVELS)},
        positions=tuple(tuple(value or 0.0 for value in positions) for _, _, positions in kept),
    )


def _ranking(file: Path) -> tuple[Architecture, ...]:
    entries = []
    for line, row in enumerate(_rows(file), start=2):
        try:
            genotype = Genotype.from_string(row.get("genotype", ""))
        except GenotypeError as error:
            raise RunFolderError(f"{file}: line {line} is damaged, {error}; remove the line") from error
        entries.append(
            Architecture(
                name=f"architecture {row.get('rank') or line - 1}",
                genotype=genotype,
                reward=_checked_number(file, line, row, "reward"),
                psnr=_checked_number(file, line, row, "psnr"),
                gmacs=_checked_number(file, line, row, "gmacs"),
                params=int(_checked_number(file, line, row, "params")),
            )
        )
    return tuple(sorted(entries, key=lambda entry: -entry.reward))


def _state(run: Path, rows: Sequence[Mapping[str, str]], planned: int | None, ranked: bool) -> str:
    if ranked or (planned is not None and len(rows) >= planned):
        return "finished"
    files = [file for file in (run / EPOCHS_FILE, run / "checkpoint.pt", run / SETTINGS_FILE) if file.exists()]
    quiet = time.time() - max(file.stat().st_mtime for file in files)
    seconds = _number(rows[-1].get("seconds")) if rows else None
    usual = 5 * (seconds or 0) / max(len(rows), 1)
    return "stopped" if quiet > max(_LEAST_SILENCE, usual) else "running"
