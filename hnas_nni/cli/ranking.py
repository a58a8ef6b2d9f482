"""A search's ranking as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hnas_nni.cli.terminal import table

if TYPE_CHECKING:
    from hnas_nni.searches import MeasuredArchitecture


def ranking_table(ranking: Sequence[MeasuredArchitecture], *, with_lambda: bool = False) -> str:
    """Return a ranking of at least one architecture as a table, with the trials or the Pareto set it comes from."""
    header = ["rank", *(["lambda"] if with_lambda else []), "reward", "PSNR (dB)", "multiply-adds (G)", "parameters"]
    origin = ["Pareto set"] if ranking[0].trial is None else ["trial", "evaluated"]
    sizes = ["C", "L"] if any(entry.genotype.depth for entry in ranking) else []
    stages = ["stage"] if any(entry.stage for entry in ranking) else []
    rows = [_row(entry, with_lambda=with_lambda, with_sizes=bool(sizes), with_stage=bool(stages)) for entry in ranking]
    return table([*header, *sizes, "position", *stages, *origin], rows)


def _row(entry: MeasuredArchitecture, *, with_lambda: bool, with_sizes: bool, with_stage: bool) -> list[str]:
    trial = entry.trial
    origin = ["yes" if entry.pareto else "no"]
    if trial is not None:
        origin = [f"{trial.number} ({trial.id})", "once" if entry.evaluated == 1 else f"{entry.evaluated} times"]
    if with_stage:
        origin.insert(0, _cell(entry.stage, "{}"))
    return [
        str(entry.rank),
        *([_cell(entry.reward_weight, "{:g}")] if with_lambda else []),
        f"{entry.reward:.4f}",
        _cell(entry.psnr, "{:.3f}"),
        _cell(entry.gmacs, "{:.2f}"),
        _cell(entry.params, "{:,}"),
        *([_cell(entry.genotype.width, "{}"), _cell(entry.genotype.depth, "{}")] if with_sizes else []),
        str(entry.genotype.position),
        *origin,
    ]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
