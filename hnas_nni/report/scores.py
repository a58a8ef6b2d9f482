"""Results of evaluations as tables, CSV and JSON-ready data."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hnas_nni.report.published_results import PUBLISHED_RESULTS, PUBLISHED_SCALE, SETS, PublishedResult

if TYPE_CHECKING:
    from hnas_nni.inference import Model
    from hnas_nni.inference.evaluation import SetScore

MEAN = "(mean)"
"""What stands for an image's name in the row of a set's mean."""

_NONE = "-"


def score_text(psnr: float, ssim: float) -> str:
    """Return PSNR and SSIM as papers print them, e.g. ``33.67/0.9303``."""
    return f"{psnr:.2f}/{ssim:.4f}"


def summary_table(
    models: Sequence[Model], scores: Sequence[SetScore], published: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of a paper: a row for each model, a column for each set.

    Parameters
    ----------
    models
        The models, in the order of the rows.
    scores
        Of every model on every set.
    published
        Put the published results on these sets on top.

    Raises
    ------
    ValueError
        If there are no published results at this scale or on any of these sets.
    """
    from hnas_nni.inference.evaluation import seconds_per_megapixel

    sets = list(dict.fromkeys(score.dataset for score in scores))
    rows = [_published_row(result, sets) for result in _published(models[0].scale, sets)] if published else []
    for model in models:
        own = {score.dataset: score for score in scores if score.model == model.name}
        cost = model.cost
        rows.append(
            [
                model.name,
                _NONE if cost is None else f"{cost.gmacs:.1f}",
                _NONE if cost is None else f"{cost.params:,}",
                *(score_text(own[name].psnr, own[name].ssim) for name in sets),
                f"{seconds_per_megapixel(list(own.values())):.2f}",
            ]
        )
    return ["model", "multiply-adds (G)", "parameters", *sets, "s/Mpixel"], rows


def image_table(models: Sequence[Model], scores: Sequence[SetScore]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table of one set: a row for each image and the mean, a column for each model."""
    by_model = {score.model: score for score in scores}
    columns = [by_model[model.name] for model in models]
    rows = [
        [images[0].image, *(score_text(image.psnr, image.ssim) for image in images)]
        for images in zip(*(column.images for column in columns), strict=True)
    ]
    rows.append([MEAN, *(score_text(column.psnr, column.ssim) for column in columns)])
    return [columns[0].dataset, *(model.name for model in models)], rows


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the first column aligned left and the others right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def scores_csv(scores: Sequence[SetScore]) -> str:
    """Return all images of all sets as CSV, each set followed by its mean."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "dataset", "image", "psnr", "ssim", "seconds", "hr_pixels", "tiled"])
    for score in scores:
        for image in score.images:
            figures = (f"{image.psnr:.6f}", f"{image.ssim:.8f}", f"{image.seconds:.6f}")
            writer.writerow([score.model, score.dataset, image.image, *figures, image.pixels, int(image.tiled)])
        writer.writerow([score.model, score.dataset, MEAN, f"{score.psnr:.6f}", f"{score.ssim:.8f}", "", "", ""])
    return text.getvalue()


def scores_data(models: Sequence[Model], scores: Sequence[SetScore]) -> dict[str, Any]:
    """Return JSON-ready data; the PSNR of images that agree, which is infinite, is None."""
    return {
        "scale": models[0].scale,
        "models": [
            {
                "model": model.name,
                "multiply_adds": None if model.cost is None else model.cost.macs,
                "parameters": None if model.cost is None else model.cost.params,
                "device": str(model.device),
                "self_ensemble": getattr(model, "ensemble", False),
                "same_in_tiles": model.is_local,
                "sets": [_set_data(score) for score in scores if score.model == model.name],
            }
            for model in models
        ],
    }


def published_data(scale: int, sets: Sequence[str]) -> list[dict[str, Any]]:
    """Return the published results on some sets as JSON-ready data."""
    return [
        {
            "method": result.method,
            "source": result.source,
            "gmacs": result.gmacs,
            "kilo_parameters": result.kilo_params,
            "sets": {
                name: {"psnr": score[0], "ssim": score[1]}
                for name in sets
                if (score := result.scores.get(name)) is not None
            },
        }
        for result in _published(scale, sets)
    ]


def _set_data(score: SetScore) -> dict[str, Any]:
    return {
        "dataset": score.dataset,
        "psnr": finite(score.psnr),
        "ssim": score.ssim,
        "seconds_per_megapixel": score.seconds_per_megapixel,
        "images": [
            {
                "image": image.image,
                "psnr": finite(image.psnr),
                "ssim": image.ssim,
                "seconds": image.seconds,
                "hr_pixels": image.pixels,
                "tiled": image.tiled,
            }
            for image in score.images
        ],
    }


def finite(value: float) -> float | None:
    """Return a number as JSON can have it: one that is not finite becomes None."""
    return value if math.isfinite(value) else None


def _published(scale: int, sets: Sequence[str]) -> list[PublishedResult]:
    if scale != PUBLISHED_SCALE:
        raise ValueError(f"published results are of x{PUBLISHED_SCALE} only, not of x{scale}; leave out --published")
    if not set(SETS) & set(sets):
        raise ValueError(
            f"published results are on {', '.join(SETS)}, but the sets are called {', '.join(sets)}; "
            "leave out --published, or name the folders so"
        )
    return list(PUBLISHED_RESULTS)


def _published_row(result: PublishedResult, sets: Sequence[str]) -> list[str]:
    return [
        f"{result.method} (published)",
        _NONE if result.gmacs is None else f"{result.gmacs:.1f}",
        _NONE if result.kilo_params is None else f"{result.kilo_params:,}K",
        *(score_text(*result.scores[name]) if name in result.scores else _NONE for name in sets),
        _NONE,
    ]
