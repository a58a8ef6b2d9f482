"""The words and tables of a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.report.page.trade_off import letter
from hnas_nni.report.svg import cells_svg
from hnas_nni.report.text import cell_in_words
from hnas_nni.searches.history import SearchHistory
from hnas_nni.searches.pareto import pareto_set
from hnas_nni.searches.places import portable
from hnas_nni.searches.record import MeasuredArchitecture


class Row(NamedTuple):
    """A row of the ranking: cells are ``(value to sort by, text, class)``, phrases what a search looks for."""

    name: str
    phrases: list[str]
    position: int
    cells: list[tuple[Any, str, str]]


def lead(history: SearchHistory) -> str:
    """Return in a sentence or two what was searched, and how far it is."""
    scale = f"x{history.scale} " if history.scale else ""
    total = f" of {history.planned}" if history.planned is not None else ""
    sentence = f"A hierarchical search for a {scale}super-resolution network: {history.done}{total} {history.unit}s"
    took = f" in {ran_for(history.seconds)}" if history.seconds else ""
    if history.state == "running":
        return f"{sentence} so far{took}. The search is running; what follows is what is known by now."
    if history.ended_with is not None:
        return f"{sentence}{took}, then it ended with an error: {history.ended_with}."
    if history.state == "stopped":
        return f"{sentence}{took}, then it was stopped; it can be resumed."
    return f"{sentence}{took}."


def nothing_ranked(history: SearchHistory) -> str:
    """Return why there is no architecture to show, or no figure of them."""
    if history.ranking:
        return "No architecture has both a PSNR and multiply-adds."
    if history.unit == "epoch" and history.steps:
        return "Architectures are drawn from the policy and ranked at the end of the search."
    if history.unit == "epoch":
        return "The first architectures are measured at the end of the first epoch."
    return "No trial has succeeded with a reward yet."


def capitalized(text: str) -> str:
    """Return a text that begins a line; names within it keep their letters."""
    return text[:1].upper() + text[1:]


def winner_title(history: SearchHistory) -> str:
    """Return what the first of the ranking is."""
    return "Winner so far" if history.provisional else "Winner"


def cells_note(genotype: Genotype) -> str:
    """Return how a block's output comes of its nodes."""
    if genotype.space is EFFICIENT:
        return "The nodes that no other node reads are added up to the block's output."
    return "Each node adds two operations; the four sums are concatenated into the block's output."


def tiles(history: SearchHistory) -> list[tuple[str, str, str]]:
    """Return the winner's figures as ``(label, value, unit)``."""
    winner = history.winner
    if winner is None:
        return []
    shown = [("Reward", f"{winner.reward:.3f}", f"of the {winner_title(history).lower()}")]
    if winner.psnr is not None:
        shown.append(("PSNR", f"{winner.psnr:.2f}", "dB on Y, during the search"))
    if winner.gmacs is not None:
        shown.append(("Multiply-adds", f"{winner.gmacs:.2f}", "G at 3x480x480 input"))
    if winner.params is not None:
        width = winner.genotype.width or history.channels
        channels = f"at C = {width}" if width else "of the searched network"
        shown.append(("Parameters", f"{winner.params:,}", channels))
    layers = winner.genotype.depth or history.layers
    of = f"of {layers} blocks" if layers else "block"
    return [*shown, ("Upsampling at", str(winner.genotype.position), of)]


def family(history: SearchHistory) -> list[list[str]]:
    """Return the best architecture for each lambda as a row of a table; nothing where there is one lambda."""
    if not history.is_family:
        return []
    rows = []
    for weight in history.reward_weights:
        best = next(entry for entry in history.ranking if entry.reward_weight == weight)
        figures = (_cell(best.psnr, "{:.2f}"), _cell(best.gmacs, "{:.2f}"), _cell(best.params, "{:,}"))
        rows.append([f"{weight:g}", f"{best.reward:.3f}", *(text for _, text in figures), str(best.genotype.position)])
    return rows


def facts(history: SearchHistory) -> list[tuple[str, str]]:
    """Return what was searched, on what, and how it went, as ``(label, text)``."""
    sizes = [
        f"{name}{value}" for name, value in (("x", history.scale), ("C = ", history.channels), ("L = ", history.layers))
        if value
    ]  # fmt: skip
    if history.winner is not None and history.winner.genotype.depth:
        sizes.append("C and L are searched")
    shown = [("Networks", ", ".join(sizes) or "unknown"), ("Data", history.data)]
    if history.reward_weight is not None:
        weight, scale = history.reward_weight, history.cost_scale
        cost = f"{1 - weight:.3g} · {scale:g} · GMAC" if scale is not None else f"{1 - weight:.3g} · cost"
        joint = f"{weight:g} · PSNR \u2212 {cost} (\u03bb = {weight:g})"
        shown.append(("Reward", "PSNR alone" if weight == 1 else joint))
    elif history.is_family:
        weights = ", ".join(f"{weight:g}" for weight in history.reward_weights)
        shown.append(("Reward", f"\u03bb = {weights}: compare rewards at the same \u03bb only"))
    shown.append((f"{history.unit.capitalize()}s", history.progress or _count(history)))
    if history.started:
        shown.append(("Started", f"{history.started:%Y-%m-%d %H:%M} UTC"))
    if history.seconds:
        shown.append(("Ran for", ran_for(history.seconds)))
    if history.winner and history.winner.step is not None:
        name = history.winner.name if history.unit == "trial" else f"{history.unit} {history.winner.step}"
        shown.append((f"{winner_title(history)} found at", name))
    rewards = [step.reward for step in history.steps if step.reward is not None]
    if len(rewards) >= 8 and not history.is_family:
        quarter = len(rewards) // 4
        first, last = fmean(rewards[:quarter]), fmean(rewards[-quarter:])
        shown.append((f"Mean reward, first and last {quarter} {history.unit}s", f"{first:.2f} and {last:.2f}"))
    return shown


def ran_for(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> ran_for(370)
    '6 min 10 s'
    """
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [(value, unit) for value, unit in parts if value][:2]
    return " ".join(f"{value} {unit}" for value, unit in shown) or "0 s"


def _count(history: SearchHistory) -> str:
    return f"{history.done} of {history.planned}" if history.planned is not None else str(history.done)


def notes(history: SearchHistory, pictures: int) -> dict[str, str]:
    """Return the captions of the figures, by their names in the template."""
    trials = history.unit == "trial"
    where = (
        "on fixed patches of the images that no trial trains on"
        if trials
        else "on the validation images, with the search's shared weights"
    )
    if history.provisional:
        where = (
            "on the validation images after an epoch, with the shared weights of then (later ones are trained longer)"
        )
    drawn = min(pictures, len(history.ranking))
    more = f" The first {drawn} have pictures." if drawn < len(history.ranking) else ""
    if history.measured:
        more += " Circles are architectures measured on the way, after an epoch, with the weights of then."
    if history.comparators:
        names = dict.fromkeys(comparator.name.partition(",")[0] for comparator in history.comparators)
        squares = ", ".join(f"{letter(name)}: {name}" for name in names)
        more += f" Squares were trained as long as the winner, on the same images: {squares}."
    one = "Each point is a trial; click one to see its cells below." if trials else "Each point is an epoch's mean."
    no_policy = "No result has been learnt yet." if not history.steps else "No history of the policy was found"
    if history.steps:
        no_policy += "; the hierarchical tuner writes one (checkpoint/policy.jsonl)." if trials else "."
    averaged = "averaged over cells drawn from the policy."
    return {
        "progress_note": one,
        "position_note": f"Probability of each position of the upsampling cell, {averaged}",
        "no_policy": no_policy,
        "trade_off_note": f"PSNR was measured {where}: it ranks these architectures, and can't be compared with "
        f"published figures. Point at an architecture, or choose it, to see its cells.{more}",
    }


def table_columns(history: SearchHistory) -> list[tuple[str, str]]:
    """Return the ranking's columns as ``(title, class)``; those of class ``extra`` are left out on phones."""
    # Architectures of a final ranking are all measured once, at the end.
    evaluated = history.unit == "trial" or history.provisional
    named = [("Evaluation", "extra" if history.unit == "trial" else "number extra")] if evaluated else []
    times = [("Evaluated", "number extra")] if evaluated else []
    return [
        ("Rank", "number"),
        *named,
        *([("\u03bb", "number")] if history.is_family else []),
        ("Reward", "number"),
        ("PSNR (dB)", "number"),
        ("GMAC", "number"),
        ("Parameters", "number extra"),
        ("Position", "number extra"),
        ("Pareto set", "extra"),
        *times,
    ]


def table_rows(history: SearchHistory) -> list[Row]:
    """Return the ranking's rows."""
    front = pareto_set([(point.psnr, point.gmacs) for point in history.ranking])
    columns = table_columns(history)
    titles, kinds = [title for title, _ in columns], [kind for _, kind in columns]
    rows = []
    for place, entry in enumerate(history.ranking):
        values = {
            "Rank": (place + 1, str(place + 1)),
            "Evaluation": (entry.name, entry.name) if history.unit == "trial" else (entry.step, f"epoch {entry.step}"),
            "\u03bb": _cell(entry.reward_weight, "{:g}"),
            "Reward": (entry.reward, f"{entry.reward:.4f}"),
            "PSNR (dB)": _cell(entry.psnr, "{:.3f}"),
            "GMAC": _cell(entry.gmacs, "{:.2f}"),
            "Parameters": _cell(entry.params, "{:,}"),
            "Position": (entry.genotype.position, str(entry.genotype.position)),
            "Pareto set": ("yes" if place in front else "no", "yes" if place in front else "\u2013"),
            "Evaluated": (entry.evaluated, "once" if entry.evaluated == 1 else f"{entry.evaluated} times"),
        }
        cells = [(*values[title], kind) for title, kind in zip(titles, kinds, strict=True)]
        rows.append(Row(entry.name, _phrases(entry), entry.genotype.position, cells))
    return rows


def _cell(value: float | None, form: str) -> tuple[Any, str]:
    return ("", "\u2013") if value is None else (value, form.format(value))


def _phrases(entry: MeasuredArchitecture) -> list[str]:
    """Return what a search in the table finds an architecture by."""
    operations = sorted({edge.operation for _, cell in entry.genotype.cells() for edge in cell.edges})
    names = [OPERATIONS[operation].label for operation in operations]
    return [entry.name, f"position {entry.genotype.position}", *operations, *names]


def architectures(history: SearchHistory, pictures: int) -> list[dict[str, Any]]:
    """Return what the page shows of each architecture when it is chosen, as :attr:`SearchHistory.architectures`."""
    shown = []
    first_published = len(history.ranking) + len(history.measured)
    for place, entry in enumerate(history.architectures):
        document: dict[str, Any] = {
            "title": f"{place + 1}. {entry.name}" if place < len(history.ranking) else capitalized(entry.name),
            "figures": _figures(entry, history),
            "genotype": entry.genotype.to_dict(),
        }
        if place < pictures or place >= first_published:
            document |= cells_svg(entry.genotype)
        else:
            words = [[f"{name} cell", *cell_in_words(name, cell), ""] for name, cell in entry.genotype.cells()]
            document["words"] = "\n".join(line for lines in words for line in lines)
        shown.append(document)
    return shown


def _figures(entry: MeasuredArchitecture, history: SearchHistory) -> str:
    parts = [f"reward {entry.reward:.4f}"]
    parts += [] if entry.psnr is None else [f"{entry.psnr:.3f} dB"]
    parts += [] if entry.gmacs is None else [f"{entry.gmacs:.2f} G multiply-adds"]
    parts += [] if entry.params is None else [f"{entry.params:,} parameters"]
    layers, width = entry.genotype.depth or history.layers, entry.genotype.width
    of = f" of {layers}" if layers else ""
    of += f", C = {width}" if width else ""
    return ", ".join([*parts, f"upsampling at block {entry.genotype.position}{of}"])


def settings_rows(history: SearchHistory) -> Sequence[tuple[str, str]]:
    """Return all settings as ``(name, text)``."""
    shown = portable(history.settings)
    shown |= {name: "." for name in shown if name.endswith("codeDirectory")}
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in shown.items()]
